"""G-3: is SST-2 answered by models that were not trained for it, if they are shown examples?

Answers of one draw are a line of OUTPUT/few_shot/<model>.jsonl, so what was killed goes on there.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.experiments import language_model, pretraining, tasks_at_hand
from benchmarks.experiments.experiment import Chart, Experiment, Record, by_seed
from benchmarks.experiments.lab import BYTE_PAIR, SENTENCEPIECE, Lab
from benchmarks.experiments.runs import Run

if TYPE_CHECKING:
    from t5x_lite.data.examples import Example
    from t5x_lite.inference.predictor import Predictor

SHOTS, DRAWS = (0, 1, 8), 20
SENTENCES = 200  # of dev, the first in the order of their digests
LENGTHS = {"inputs": 120, "targets": 8}
GPT2, T5, MAJORITY = "GPT-2", "T5", "the more frequent answer"
BATCH_SIZE = 64


@dataclasses.dataclass(frozen=True)
class Model:
    """A run, how it is asked, and its vocabulary."""

    run: Run
    task: str
    vocabulary: str


def models(lab: Lab) -> Mapping[str, Model]:
    """The GPT-2 of G-1 goes on, the T5 of M-1 fills a blank; both of seed 0."""
    return {
        GPT2: Model(language_model.training(lab, 0), "few_shot_experiments_sst2", BYTE_PAIR),
        T5: Model(pretraining.pretraining(lab, 0), "few_shot_experiments_sst2_fill", SENTENCEPIECE),
    }


def measure(lab: Lab, seeds: Sequence[int]) -> Iterator[Record]:
    """Each model with each number of demonstrations and each draw of them."""
    del seeds
    for name, model in models(lab).items():
        for k in SHOTS:
            draws = DRAWS if lab.scale.num_examples is None else 2
            for draw in range(draws if k else 1):
                scores = _scores(lab, name, model, k, draw)
                yield Record(f"{name}, K = {k}", draw, scores)
    yield Record(MAJORITY, None, {"accuracy": scores["majority"], "ratio": scores["majority"]})


def _scores(lab: Lab, name: str, model: Model, k: int, draw: int) -> dict[str, float]:
    from t5x_lite import json_lines

    file = lab.output / "few_shot" / f"{name}.jsonl"
    file.parent.mkdir(exist_ok=True)
    for line in json_lines.read_lines(file) if file.exists() else []:
        if (line["k"], line["draw"]) == (k, draw):
            return dict(line["scores"])
    scores = _measured(lab, model, k, draw)
    json_lines.append_line(file, {"k": k, "draw": draw, "scores": scores})
    return scores


def _measured(lab: Lab, model: Model, k: int, draw: int) -> dict[str, float]:
    """Accuracy by likelihood, and by its ratio to that behind the neutral prompt."""
    return scores_of(predictor_of(lab, model), model, items(lab, model, k, draw), f"K={k}")


def items(
    lab: Lab, model: Model, k: int, draw: int, *, split: str = "test", most: int = SENTENCES
) -> list["Example"]:
    """The first sentences of a split, each behind the demonstrations of a draw."""
    from t5x_lite.data.config import FewShotConfig
    from t5x_lite.data.examples import find_task
    from t5x_lite.data.few_shot import set_few_shot

    set_few_shot(FewShotConfig(k=k, seed=draw, shared=True))
    return find_task(model.task).examples(
        split=split,
        task_feature_lengths=LENGTHS,
        num_examples=min(most, lab.scale.num_examples or most),
    )


def scores_of(
    predictor: "Predictor", model: Model, examples: Sequence["Example"], label: str
) -> dict[str, float]:
    """What a model that answers makes of sentences."""
    from t5x_lite.data.examples import find_task
    from t5x_lite.evaluation import ranking
    from t5x_lite.evaluation.config import OptionScore

    task = find_task(model.task)

    def scored(some: Sequence["Example"], how: OptionScore) -> np.ndarray:
        settings: dict[str, Any] = {"batch_size": BATCH_SIZE, "label": label}
        return np.stack(ranking.option_scores(predictor, task, some, how, **settings))

    sums = scored(examples, OptionScore.SUM)
    # The neutral prompt is the same for all.
    neutral = sums[:1] - scored(examples[:1], OptionScore.NEUTRAL)
    right = np.array([task.target(example) for example in examples])
    answers = sums - np.logaddexp.reduce(sums, axis=1, keepdims=True)
    return {
        "accuracy": 100 * float(np.mean(sums.argmax(axis=1) == right)),
        "ratio": 100 * float(np.mean((sums - neutral).argmax(axis=1) == right)),
        "log_loss": -float(np.mean(answers[np.arange(len(right)), right])),
        "shown": float(np.mean([len(each["prompt/demonstrations"]) for each in examples])),
        "majority": 100 * float(max(right.mean(), 1 - right.mean())),
    }


_predictors: dict[str, "Predictor"] = {}


def predictor_of(lab: Lab, model: Model) -> "Predictor":
    """One for all draws, so that nothing is compiled twice; its vocabulary is the process's."""
    from t5x_lite.data.config import DatasetConfig
    from t5x_lite.decoding.config import DecodingConfig
    from t5x_lite.evaluation.config import EvalConfig
    from t5x_lite.inference.predictor import make_predictor
    from t5x_lite.partitioning.config import PartitioningConfig

    folder = lab.train(model.run)
    tasks_at_hand.register(lab, model.vocabulary)
    _register_prompts()
    name = model.run.name
    if name not in _predictors:
        dataset = DatasetConfig(
            mixture_or_task_name=model.task, split="test", task_feature_lengths=LENGTHS
        )
        config = EvalConfig(
            checkpoint_path=str(folder),
            output_dir=str(folder),
            dataset=dataset,
            decoding=DecodingConfig(),
            partitioning=PartitioningConfig(),
            compilation_cache=False,
        )
        _predictors[name] = make_predictor(config, dataset)
    return _predictors[name]


def _register_prompts() -> None:
    """SST-2 in few words, of which models of WikiText-2 know all."""
    from t5x_lite.data.checks import is_registered
    from t5x_lite.tasks import few_shot
    from t5x_lite.tasks.prompt_templates import Template

    if is_registered("few_shot_experiments_sst2"):
        return
    names = ("negative", "positive")
    few_shot.add(
        Template(
            "experiments_sst2",
            "experiments_sst2",
            "{sentence} It was",
            ("bad", "good"),
            prepare=lambda fields: fields | {"label": names.index(fields["label"])},
            neutral="It was",
            separator=" .\n",
        )
    )


def _notes(records: Sequence[Record]) -> list[str]:
    (level,) = by_seed(records, MAJORITY, "accuracy").values()
    notes = []
    for name in (GPT2, T5):
        zero = by_seed(records, f"{name}, K = 0", "ratio")[0]
        parts = []
        for k in SHOTS[1:]:
            found = list(by_seed(records, f"{name}, K = {k}", "ratio").values())
            above = sum(value > level for value in found)
            parts.append(
                f"K = {k} {min(found):.1f} to {max(found):.1f} %, {above} of {len(found)} draws "
                f"above the {level:.1f} % of the more frequent answer"
            )
        notes.append(f"{name}, by the ratio: K = 0 {zero:.1f} %; {'; '.join(parts)}.")
    return notes


EXPERIMENT = Experiment(
    key="G-3",
    title="SST-2 by demonstrations alone",
    claim="nothing: models as small as these have not been seen to learn from their context",
    setup=(
        "The GPT-2 of G-1 and the T5 of M-1, seed 0, as they were pre-trained on WikiText-2, are "
        f"asked about {SENTENCES} dev sentences: `SENTENCE It was`, which the GPT-2 goes on and "
        "the T5 fills a blank in; `good` or `bad`, whichever is likelier, or likelier in relation "
        "to its likelihood behind `It was` alone. K = 0, 1 and 8 demonstrations of "
        f"{DRAWS} draws, each the same for all sentences, stand before it, as many of them as fit "
        f"into {LENGTHS['inputs']} tokens. The spread is that of the draws."
    ),
    measure=measure,
    chart=Chart("ratio", "accuracy on SST-2 by the ratio, %"),
    metrics={
        "accuracy": "accuracy by likelihood, %",
        "ratio": "by the ratio, %",
        "shown": "demonstrations that fit",
    },
    notes=_notes,
)
