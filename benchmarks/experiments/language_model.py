"""G-1: does a tiny GPT-2 know more of WikiText-2 than which token follows which?"""

from collections.abc import Iterator, Sequence

import numpy as np
import scipy.stats

from benchmarks.experiments import bigram, cloze, tasks_at_hand
from benchmarks.experiments.experiment import Chart, Experiment, Record
from benchmarks.experiments.lab import BYTE_PAIR, Lab
from benchmarks.experiments.pretraining import held_out_loss
from benchmarks.experiments.runs import Run

TASK = "experiments_wikitext_lm"
LENGTHS = {"targets": 128}
STEPS, BATCH_SIZE = 600, 16
_ALL = 1_000  # more batches than there is held-out text

GPT2, BIGRAM = "GPT-2", "interpolated bigram"


def training(lab: Lab, seed: int) -> Run:
    """From scratch; the learning rate falls to zero."""
    steps = lab.scale.steps(STEPS)
    size = lab.vocab_size()
    return Run(
        f"gpt2/seed_{seed}",
        steps,
        seed,
        {
            "MIXTURE_OR_TASK_NAME": TASK,
            "TASK_FEATURE_LENGTHS": LENGTHS,
            "VOCAB_SIZE": size,
            "END_TOKEN": size - 1,
            "BATCH_SIZE": BATCH_SIZE,
            "LEARNING_RATE_FACTORS": "constant * linear_warmup * linear_decay",
            "LEARNING_RATE": 0.003,
            "WARMUP_STEPS": max(1, steps // 10),
            "ScheduleConfig.total_steps": steps,
            "EVAL_PERIOD": max(1, steps // 3),
            "EVAL_STEPS": lab.scale.steps(_ALL),
            "train_eval/DatasetConfig.split": "test",
        },
        gin_files=("recipes/pretrain.gin", "recipes/adamw.gin"),
        model_file="models/gpt2/tiny.gin",
        vocabulary=BYTE_PAIR,
    )


def measure(lab: Lab, seeds: Sequence[int]) -> Iterator[Record]:
    """Perplexity of every held-out token, end tokens included; the cloze of held-out sentences."""
    for seed in seeds:
        run = training(lab, seed)
        curve = [(step, float(np.exp(loss))) for step, loss in held_out_loss(lab, run, TASK)]
        asked = cloze.questions(cloze.NUM_QUESTIONS if lab.scale.num_examples is None else 2)
        right = cloze.num_right(lab.train(run), asked)
        scores = {"perplexity": curve[-1][1], "cloze": 100 * right / len(asked)}
        yield Record(GPT2, seed, scores | {"questions": len(asked)}, curve)
    yield Record(BIGRAM, None, {"perplexity": bigram_perplexity(lab)})


def bigram_perplexity(lab: Lab) -> float:
    """Of the very tokens of the rows that the model is scored on, in which the first token stands
    behind the start token; counted on the rows it is trained on.
    """
    tasks_at_hand.register(lab, BYTE_PAIR)
    train, held_out, test = (_pairs(lab, split) for split in ("train", "validation", "test"))
    model = bigram.fit(train, held_out, lab.vocab_size())
    return float(np.exp(-model.log_probs(*test).mean()))


def _pairs(lab: Lab, split: str) -> tuple[np.ndarray, np.ndarray]:
    """All tokens of a split, each with the one before it."""
    from t5x_lite.data.config import DatasetConfig
    from t5x_lite.data.pipeline import make_batches
    from t5x_lite.features.config import SpecialTokens
    from t5x_lite.features.layouts import Layout, ModelFeatures

    end = lab.vocab_size() - 1
    special = SpecialTokens(padding=end, start=end, end=end, unknown=None)
    dataset = DatasetConfig(
        mixture_or_task_name=TASK,
        task_feature_lengths=LENGTHS,
        split=split,
        batch_size=BATCH_SIZE,
        shuffle=False,
    )
    names = ("decoder_input_tokens", "decoder_target_tokens")
    found: list[list[np.ndarray]] = [[], []]
    for batch in make_batches(dataset, ModelFeatures(Layout.LM, special), num_epochs=1):
        counted = batch["decoder_loss_weights"] > 0
        for tokens, name in zip(found, names, strict=True):
            tokens.append(batch[name][counted])
    return np.concatenate(found[0]), np.concatenate(found[1])


def _notes(records: Sequence[Record]) -> list[str]:
    models = [record.scores for record in records if record.arm == GPT2]
    (level,) = (r.scores["perplexity"] for r in records if r.arm == BIGRAM)
    worst = max(scores["perplexity"] for scores in models)
    relation = "below" if worst < level else "NOT below"
    least = min(models, key=lambda scores: scores["cloze"])
    count = round(least["questions"])
    test = scipy.stats.binomtest(round(least["cloze"] / 100 * count), count, 0.25, "greater")
    verdict = "above" if test.pvalue < 0.01 else "NOT above"
    return [
        f"The worst seed ends at a perplexity of {worst:.1f} a token, {relation} that of the "
        f"bigram, {level:.1f}. The least cloze, {least['cloze']:.1f} % of {count} questions, is "
        f"{verdict} the 25 % of chance (binomial test, p = {test.pvalue:.1g})."
    ]


EXPERIMENT = Experiment(
    key="G-1",
    title="A tiny GPT-2 on WikiText-2",
    claim="perplexity falls below that of an interpolated bigram, and the cloze is above chance",
    setup=(
        f"{STEPS:,} steps of {BATCH_SIZE} rows of {LENGTHS['targets']} tokens by AdamW, "
        "d_model 128, 2 layers, from scratch, on articles of WikiText-2, joined as GPT-2's texts "
        "were, with a byte-level BPE of 4,096 pieces trained on the same text. Its train file was "
        "not at hand: 51 of the 62 articles of its test file train (1.06 M characters), all 60 of "
        "its valid file are held out. No other learning rate was tried. The bigram is counted on "
        "the same rows and mixed with a unigram and a uniform distribution by weights that EM fits "
        "on the 11 articles that are left; it predicts the same tokens of the same rows. Cloze, "
        "without training for it: which of four sentences of the held-out articles follows two "
        "others? The one whose probability behind the two is largest in relation to that behind "
        "nothing; the wrong three are from other articles."
    ),
    measure=measure,
    chart=Chart("perplexity", "held-out perplexity a token", x="step"),
    metrics={"perplexity": "held-out perplexity", "cloze": "cloze, %"},
    notes=_notes,
)
