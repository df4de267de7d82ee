"""Encoders by themselves, pre-trained on small texts: what their runs have in common."""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

from benchmarks.experiments import tasks_at_hand
from benchmarks.experiments.lab import CAPTION_WORD_PIECE, WORD_PIECE, Lab
from benchmarks.experiments.runs import Run

ALL = 1_000  # more batches than there is held-out text
SIZES = {
    "EMBED_DIM": 128,
    "MLP_DIM": 512,
    "NUM_HEADS": 4,
    "HEAD_DIM": 32,
    "NUM_ENCODER_LAYERS": 2,
    "DROPOUT_RATE": 0.0,
    # In relation to the width what 0.02 is to BERT's 768.
    "InitConfig.stddev": 0.05,
}


@dataclasses.dataclass(frozen=True)
class Corpus:
    """A text by the names of its tasks, with the vocabulary that is trained on it, and rows: what
    stands far apart in them takes long to be looked at, so they are as short as texts allow.
    """

    tasks: str
    vocabulary: str
    pieces: str
    length: int
    batch_size: int
    setup: str

    def task(self, objective: str) -> str:
        """The task that makes examples of it by an objective."""
        return f"{self.tasks}_{objective}"


ARTICLES = Corpus(
    "experiments",
    WORD_PIECE,
    "4,096",
    64,
    16,
    "85 % of the articles of the valid and the test file of WikiText-2, 2.1 M characters, for its "
    "train file was not at hand. Held out are the articles of the test split.",
)
# Of pairs, which are told by what stands at their beginnings.
SHORT_ARTICLES = dataclasses.replace(ARTICLES, length=32, batch_size=32)
CAPTIONS = Corpus(
    "experiments_captions",
    CAPTION_WORD_PIECE,
    "1,024",
    24,
    48,
    "28,000 English captions of Multi30k, 1.7 M characters, 50 a text. Held out are its 1,014 "
    "captions for validation.",
)


def setup(corpus: Corpus = ARTICLES) -> str:
    """What all runs have in common, in words."""
    return (
        "d_model 128, 4 heads, feed-forward 512, weights that begin with a standard deviation of "
        "0.05, no dropout, AdamW with a warm-up of a tenth of the steps and a rate that falls to "
        f"0 in a line, {corpus.batch_size} rows of {corpus.length} tokens a step, a WordPiece of "
        f"{corpus.pieces} pieces trained on the same text: {corpus.setup}"
    )


_PADDING, _UNKNOWN, _START, _END = range(4)  # lines of vocab.txt
SPECIAL = {
    "SpecialTokens.padding": _PADDING,
    "SpecialTokens.unknown": _UNKNOWN,
    "SpecialTokens.start": _START,
    "SpecialTokens.end": _END,
}


def pretraining(
    lab: Lab,
    name: str,
    seed: int,
    *,
    objective: str,
    model_file: str,
    recipe: str,
    steps: int,
    settings: Mapping[str, object],
    corpus: Corpus = ARTICLES,
) -> Run:
    """A run from scratch, which is evaluated on all held-out text."""
    steps = lab.scale.steps(steps)
    return Run(
        name,
        steps,
        seed,
        {
            **SIZES,
            "MIXTURE_OR_TASK_NAME": corpus.task(objective),
            "TASK_FEATURE_LENGTHS": lengths(objective, corpus),
            "MAX_LENGTH": corpus.length,
            "BATCH_SIZE": corpus.batch_size,
            "WARMUP_STEPS": max(1, steps // 10),
            "DECAY_STEPS": steps,
            "EVAL_PERIOD": max(1, steps // 4),
            "EVAL_STEPS": lab.scale.steps(ALL),
            "train_eval/DatasetConfig.split": "test",
            **SPECIAL,
            **settings,
        },
        gin_files=(f"recipes/{recipe}.gin",),
        model_file=model_file,
        vocabulary=corpus.vocabulary,
    )


def lengths(objective: str, corpus: Corpus = ARTICLES) -> dict[str, int]:
    """Of the features of an objective."""
    from t5x_lite.objectives import masked_table

    found = masked_table.find(objective)
    return dict.fromkeys(found.aligned, corpus.length) | ({"classes": 1} if found.is_pair else {})


def held_out(lab: Lab, run: Run) -> list[Mapping[str, float]]:
    """What each evaluation of a run says, the step included.

    Raises:
        ValueError: the run was killed between its last checkpoint and its last evaluation.
    """
    from t5x_lite.evaluation.runs import read_run

    folder = lab.train(run)
    lines = list(read_run(folder).held_out.get(str(run.settings["MIXTURE_OR_TASK_NAME"]), []))
    if not lines or lines[-1]["step"] != run.last_step:
        raise ValueError(
            f"{folder} lacks the evaluation at its last step, {run.last_step}: it was killed just "
            "before. Remove the folder and start again."
        )
    return lines


def batches(
    lab: Lab, objective: str, split: str, corpus: Corpus = ARTICLES
) -> Iterator[Mapping[str, np.ndarray]]:
    """Those of a split, in their order."""
    from t5x_lite.data.config import DatasetConfig
    from t5x_lite.data.pipeline import make_batches
    from t5x_lite.features.config import SpecialTokens
    from t5x_lite.features.layouts import Layout, ModelFeatures

    tasks_at_hand.register(lab, corpus.vocabulary)
    dataset = DatasetConfig(
        mixture_or_task_name=corpus.task(objective),
        task_feature_lengths=lengths(objective, corpus),
        split=split,
        batch_size=corpus.batch_size,
        shuffle=False,
    )
    special = SpecialTokens(padding=_PADDING, unknown=_UNKNOWN, start=_START, end=_END)
    yield from make_batches(dataset, ModelFeatures(Layout.ENCODER, special), num_epochs=1)


def num_examples(lab: Lab, objective: str, corpus: Corpus = ARTICLES) -> int:
    """How many an objective makes of held-out text."""
    return sum(
        int(np.sum((batch["encoder_positions"] == 0) & (batch["encoder_segment_ids"] > 0)))
        for batch in batches(lab, objective, "test", corpus)
    )


def num_parameters(lab: Lab, run: Run) -> int:
    """Of what a run has trained."""
    from t5x_lite.checkpoints import description, lookup
    from t5x_lite.model import transformer

    return transformer.num_parameters(description.model_of(lookup.find(lab.train(run))))
