"""P-3: a small student of a fine-tuned encoder, inside first and its classes then (Jiao et al.
2020).
"""

from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.experiments import encoders, locked, sentiments
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

STEPS, LEARNING_RATE = 1_200, 0.001
TEACHER = "the teacher"
BOTH, CLASSES, ALONE = "states and scores, then classes", "classes", "no teacher"
# One layer as wide as half of the teacher, with as many heads.
SIZES = {
    "EMBED_DIM": 64,
    "TOKEN_DIM": None,
    "MLP_DIM": 256,
    "HEAD_DIM": 16,
    "NUM_ENCODER_LAYERS": 1,
    "DROPOUT_RATE": 0.0,
}
INSIDE, TOLD = "compression/tinybert_intermediate.gin", "compression/tinybert_prediction.gin"


def teacher(lab: Lab, seed: int) -> Run:
    """The dense model that P-6 fine-tunes."""
    return locked.training(lab, locked.DENSE, seed)


def inside(lab: Lab, seed: int) -> Run:
    """The first half of the steps of `BOTH`, without a word of the task."""
    width = encoders.SIZES["EMBED_DIM"]
    run = _student(lab, "inside", seed, start=None, steps=STEPS // 2, file=INSIDE)
    return sentiments.with_settings(run, {"TEACHER_WIDTH": width})


def training(lab: Lab, arm: str, seed: int) -> Run:
    """A student behind as many steps in all as the others."""
    if arm == BOTH:
        start = inside(lab, seed)
        return _student(lab, "both", seed, start=start, steps=STEPS - STEPS // 2, file=TOLD)
    name, file = {CLASSES: ("classes", TOLD), ALONE: ("alone", None)}[arm]
    return _student(lab, name, seed, start=None, steps=STEPS, file=file)


def _student(
    lab: Lab, name: str, seed: int, *, start: Run | None, steps: int, file: str | None
) -> Run:
    taught = {} if file is None else {"TEACHER_PATH": str(lab.folder(teacher(lab, seed)))}
    run = sentiments.tuned(
        lab,
        f"two_stages/{name}_seed_{seed}",
        seed,
        start=start,
        steps=steps,
        learning_rate=LEARNING_RATE,
        gin_files=() if file is None else (file,),
    )
    return sentiments.with_settings(run, {**SIZES, **taught})


def measure(lab: Lab, seeds: Sequence[int]) -> Iterator[Record]:
    """Accuracy on dev sentences, of the teacher first."""
    for seed in seeds:
        known = teacher(lab, seed)
        yield Record(TEACHER, seed, {"accuracy": sentiments.accuracy(lab, known)})
        for arm in (BOTH, CLASSES, ALONE):
            run = training(lab, arm, seed)
            yield Record(arm, seed, {"accuracy": sentiments.accuracy(lab, run)})


def _notes(records: Sequence[Record]) -> list[str]:
    gate = difference(records, Comparison(ALONE, BOTH, "accuracy"))
    met = "met" if gate.verdict == "higher" else "NOT met"
    mean = {
        arm: float(np.mean([*by_seed(records, arm, "accuracy").values()]))
        for arm in (TEACHER, BOTH, CLASSES, ALONE)
    }
    shown = ", ".join(f"{arm} {mean[arm] - mean[TEACHER]:+.1f}" for arm in (BOTH, CLASSES, ALONE))
    return [
        f"The gate, both stages above no teacher, is {met}: {gate} points, {gate.verdict}.",
        f"Points beside the teacher's accuracy, in the mean: {shown}.",
    ]


EXPERIMENT = Experiment(
    key="P-3",
    title="Two stages of TinyBERT on SST-2",
    claim=(
        "after equally many steps a student that learned its teacher's inside and then its classes "
        "is right more often than one without a teacher; one that learned the classes alone is "
        "between them"
    ),
    setup=(
        "The teacher is P-6's dense model, 2 layers, fine-tuned on SST-2. The student has 1 layer, "
        "d_model 64, 4 heads, feed-forward 256 and begins with random parameters: "
        f"{STEPS // 2} steps on what the first layer reads, the states behind layers and the "
        f"scores of attention, then {STEPS - STEPS // 2} on the teacher's classes at temperature "
        f"1; {STEPS:,} on the classes; or {STEPS:,} on the labels. AdamW at a rate of "
        f"{LEARNING_RATE} with a warm-up of a tenth of the steps, then to 0 in a line, each stage "
        "by itself, no dropout, the sentences as they are: none are made of others, and there is "
        f"no general distillation before. {sentiments.SETUP} No other learning rate was tried."
    ),
    measure=measure,
    chart=Chart("accuracy", "accuracy on SST-2 dev, %"),
    metrics={"accuracy": "accuracy, %"},
    comparisons=(
        Comparison(ALONE, BOTH, "accuracy"),
        Comparison(ALONE, CLASSES, "accuracy"),
        Comparison(CLASSES, BOTH, "accuracy"),
    ),
    notes=_notes,
)
