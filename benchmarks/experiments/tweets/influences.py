"""tweets-influences: what the result depends on, one factor at a time, from one pre-training."""

from collections.abc import Iterator, Sequence

from benchmarks.experiments.experiment import (
    Chart,
    Comparison,
    Experiment,
    Record,
    arms,
    difference,
)
from benchmarks.experiments.lab import Lab
from benchmarks.experiments.tweets import comparison, data, finetuning, models
from benchmarks.experiments.tweets.finetuning import BATCH_SIZE, Factors

KEYS = (models.BERT, models.T5)
USUAL = "as usual"
WEIGHTS, FEW = "class weights, balanced", "a quarter of the pieces"
CLEANINGS = {f"{data.TASK}_{name}": name.replace("_", " ") for name in data.CLEANINGS}
RATES = {"rate x 1/3": 1 / 3, "rate x 3": 3.0}
BATCHES = {f"batches of {size} rows": size for size in (BATCH_SIZE // 4, 2 * BATCH_SIZE)}


def _arm(key: str, name: str) -> str:
    return f"{models.ROWS[key].name}, {name}"


COMPARISONS = tuple(
    Comparison(_arm(key, USUAL), _arm(key, name), "accuracy")
    for key in KEYS
    for name in (*CLEANINGS.values(), FEW, WEIGHTS, *RATES, *BATCHES)
)


def factors(lab: Lab, key: str) -> dict[str, Factors]:
    """What is varied of a row, by the names of arms; the first is what all others differ from."""
    found = {USUAL: Factors()}
    found |= {CLEANINGS[task]: Factors(task=task) for task in data.cleanings(lab)}
    if not lab.given.models:
        found[FEW] = Factors(few_pieces=True)
    if models.ROWS[key].kind is models.ENCODER:
        found[WEIGHTS] = Factors(class_weights=data.balanced(lab))
    found |= {name: Factors(rate=rate) for name, rate in RATES.items()}
    return found | {name: Factors(batch_size=size) for name, size in BATCHES.items()}


def measure(lab: Lab, seeds: Sequence[int]) -> Iterator[Record]:
    """All of them from the pre-training of seed 0, with every seed of the fine-tuning."""
    rows = models.rows(lab)
    yield Record(data.MAJORITY, None, data.majority(lab))
    for key in (key for key in KEYS if key in rows):
        for name, varied in factors(lab, key).items():
            start = models.start(lab, key, 0, few=varied.few_pieces)
            for seed in seeds:
                arm = "usual" if name == USUAL else name.replace(" ", "_").replace("/", "_")
                run = finetuning.finetuning(lab, key, start, arm, seed, varied)
                yield Record(_arm(key, name), seed, finetuning.scores(lab, key, run))


def _notes(records: Sequence[Record]) -> list[str]:
    measured = {*arms(records)}
    found = {
        each.second: difference(records, each)
        for each in COMPARISONS
        if {each.first, each.second} <= measured
    }
    told = [f"{arm} ({each})" for arm, each in found.items() if each.verdict != "not told apart"]
    return [
        f"Of {len(found)} differences from what is usual these are told from none: "
        f"{'; '.join(told) or 'none'}. Of intervals of 95 % one in twenty misses by chance."
    ]


EXPERIMENT = Experiment(
    key="tweets-influences",
    title="What telling tweets of a disaster depends on",
    claim=(
        "nothing is expected of any single factor; what differs is told, and by how much; "
        "reported, not gated"
    ),
    setup=(
        "BERT and T5 of tweets-models, fine-tuned from the pre-training of seed 0 with three "
        "seeds of the fine-tuning, each time with one thing else than usual: how tweets are "
        "cleaned (what changes no tweet is left out), a vocabulary of a quarter of the pieces with "
        "a pre-training of its own, weights with which both classes count alike, the learning "
        "rate, the rows of a batch for the same number of rows. "
        f"{comparison.PRETRAINING} {comparison.FINETUNING}"
    ),
    measure=measure,
    chart=Chart("accuracy", "accuracy of the test split, %"),
    metrics=comparison.METRICS,
    comparisons=COMPARISONS,
    notes=_notes,
    setup_of=comparison.setup_of,
)
