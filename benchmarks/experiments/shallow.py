"""P-2: a student of half of the layers, with its teacher and without (Sanh et al. 2019)."""

import dataclasses
import functools
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.experiments import encoders, pruned
from benchmarks.experiments.experiment import Chart, Comparison, Experiment, Record, by_seed
from benchmarks.experiments.lab import Lab
from benchmarks.experiments.runs import Run

STEPS = 1_500
LAYERS = (1,)  # of the teacher's, counted from 1
TEACHER, TAUGHT, ALONE = "the teacher", "with the teacher", "without"
FILE = "compression/distilbert.gin"


def directory(lab: Lab, teacher: Run) -> pathlib.Path:
    """A checkpoint of the student as it begins; the teacher is trained before."""
    place = lab.train(teacher) / "first_layer"
    if not place.exists():
        from t5x_lite.compression.distillation_config import StudentConfig
        from t5x_lite.exporting.config import ExportConfig, Format
        from t5x_lite.exporting.export import export

        export(
            ExportConfig(
                path=str(lab.folder(teacher)),
                output=str(place),
                format=Format.CHECKPOINT,
                student=StudentConfig(encoder_layers=LAYERS),
            )
        )
    return place


def training(lab: Lab, arm: str, seed: int) -> Run:
    """The student on the teacher's text; both arms read the same batches."""
    teacher = pruned.first(lab, seed)
    name = f"shallow/{arm.replace(' ', '_')}_seed_{seed}"
    run = pruned.pretraining(lab, name, seed, STEPS)
    own: dict[str, object] = {"NUM_ENCODER_LAYERS": len(LAYERS), "RESTORE_OPTIMIZER": False}
    if arm == TAUGHT:
        own["TEACHER_PATH"] = str(lab.folder(teacher))
    return dataclasses.replace(
        run,
        settings={**run.settings, **own},
        gin_files=(*run.gin_files, *([FILE] if arm == TAUGHT else [])),
        directory=functools.partial(directory, teacher=teacher),
    )


def measure(lab: Lab, seeds: Sequence[int]) -> Iterator[Record]:
    """The held-out loss of masked tokens of the teacher and of both students."""
    for seed in seeds:
        teacher = pruned.first(lab, seed)
        known = encoders.held_out(lab, teacher)[-1]["cross_ent_loss"]
        yield Record(TEACHER, seed, {"loss": known, "parameters": _thousands(lab, teacher)})
        for arm in (TAUGHT, ALONE):
            run = training(lab, arm, seed)
            lines = encoders.held_out(lab, run)
            curve = [(line["step"], line["cross_ent_loss"]) for line in lines]
            scores = {"loss": curve[-1][1], "parameters": _thousands(lab, run)}
            yield Record(arm, seed, scores, curve)


def _thousands(lab: Lab, run: Run) -> float:
    return encoders.num_parameters(lab, run) / 1_000


def _notes(records: Sequence[Record]) -> list[str]:
    mean = {
        arm: float(np.mean([*by_seed(records, arm, "loss").values()]))
        for arm in (TEACHER, TAUGHT, ALONE)
    }
    return [
        f"Behind the teacher are, in the mean, the student with it by "
        f"{mean[TAUGHT] - mean[TEACHER]:+.3f} nats and the one without by "
        f"{mean[ALONE] - mean[TEACHER]:+.3f}."
    ]


EXPERIMENT = Experiment(
    key="P-2",
    title="Half of the layers, with a teacher and without",
    claim=(
        "after equally many steps the student with its teacher has a lower held-out loss than the "
        "same student without, and both a higher one than the teacher"
    ),
    setup=(
        f"The teacher is the model that P-1 prunes, {pruned.FIRST_STEPS:,} steps of ALBERT's "
        "n-grams, 2 layers that share nothing. The student begins as its first layer with all that "
        f"is not of layers, and trains for {STEPS:,} steps on the same text: by DistilBERT's three "
        "terms (5 of the teacher's tokens at temperature 2, 2 of the masked tokens, 1 of the "
        "direction of the last hidden states), or by the masked tokens alone. A rate of "
        f"{pruned.LEARNING_RATE}. {encoders.setup(encoders.CAPTIONS)} No other learning rate and "
        "no other weights were tried."
    ),
    measure=measure,
    chart=Chart("loss", "held-out loss of masked tokens, nats"),
    metrics={"loss": "held-out loss, nats", "parameters": "parameters, thousands"},
    comparisons=(
        Comparison(ALONE, TAUGHT, "loss"),
        Comparison(TEACHER, TAUGHT, "loss"),
        Comparison(TEACHER, ALONE, "loss"),
    ),
    notes=_notes,
)
