"""P-6: pruned once, then fine-tuned with the zeros where they are (Zafrir et al. 2021)."""

from collections.abc import Iterator, Sequence

from benchmarks.experiments import encoders, pruned, sentiments
from benchmarks.experiments.experiment import (
    Chart,
    Comparison,
    Experiment,
    Record,
    by_seed,
    difference,
)
from benchmarks.experiments.lab import Lab
from benchmarks.experiments.runs import Run

MARGIN = 2.0  # points of accuracy
DENSE, PRUNED = "dense", "pruned, then locked"
_STARTS = {DENSE: pruned.DENSE, PRUNED: pruned.TAUGHT}
_FILES = {DENSE: (), PRUNED: ("compression/lock.gin",)}


def training(lab: Lab, arm: str, seed: int) -> Run:
    """The same fine-tuning of one of P-1's runs, which had as many steps as the other."""
    return sentiments.tuned(
        lab,
        f"locked/{arm.replace(', ', '_').replace(' ', '_')}_seed_{seed}",
        seed,
        start=pruned.training(lab, _STARTS[arm], seed),
        gin_files=_FILES[arm],
    )


def measure(lab: Lab, seeds: Sequence[int]) -> Iterator[Record]:
    """Accuracy, and which share of the kernels is 0 before fine-tuning and behind it."""
    for seed in seeds:
        for arm in _STARTS:
            run = training(lab, arm, seed)
            scores = {
                "accuracy": sentiments.accuracy(lab, run),
                "zeros_before": 100 * pruned.zeros(lab, pruned.training(lab, _STARTS[arm], seed)),
                "zeros": 100 * pruned.zeros(lab, run),
            }
            yield Record(arm, seed, scores)


def _notes(records: Sequence[Record]) -> list[str]:
    found = difference(records, Comparison(DENSE, PRUNED, "accuracy"))
    within = "within" if abs(found.mean) <= MARGIN else "NOT within"
    kept = all(
        before == behind
        for before, behind in zip(
            by_seed(records, PRUNED, "zeros_before").values(),
            by_seed(records, PRUNED, "zeros").values(),
            strict=True,
        )
    )
    return [
        f"In the mean the pruned model is {found.mean:+.1f} points beside the dense one, {within} "
        f"the margin of {MARGIN:g}, which was set before; the interval is {found}. The share of "
        f"zeros {'is' if kept else 'is NOT'} the same before fine-tuning and behind it."
    ]


EXPERIMENT = Experiment(
    key="P-6",
    title="Pruned once, then fine-tuned",
    claim=(
        f"with {100 * pruned.SPARSITY:g} % of its layers' weights gone a model is fine-tuned to an "
        f"accuracy within {MARGIN:g} points of the dense one's, and its zeros stay"
    ),
    setup=(
        f"P-1's models after {pruned.STEPS:,} steps more, dense, or pruned gradually with a "
        f"teacher; each then fine-tuned on SST-2 for {sentiments.STEPS:,} steps, the pruned one "
        "with its pattern locked and no teacher, AdamW at a rate of "
        f"{sentiments.LEARNING_RATE} with a warm-up of a tenth of the steps, then to 0 in a line, "
        f"dropout {sentiments.DROPOUT}. {sentiments.SETUP} Both were pre-trained on captions: "
        f"{encoders.setup(encoders.CAPTIONS)} No other learning rate was tried."
    ),
    measure=measure,
    chart=Chart("accuracy", "accuracy on SST-2 dev, %"),
    metrics={
        "accuracy": "accuracy, %",
        "zeros_before": "zeros before fine-tuning, %",
        "zeros": "behind it, %",
    },
    comparisons=(Comparison(DENSE, PRUNED, "accuracy"),),
    notes=_notes,
)
