"""The fine-tuning of a row on tweets, and what may be varied of it."""

import dataclasses
import pathlib
from collections.abc import Mapping

from benchmarks.experiments.lab import Lab
from benchmarks.experiments.runs import SCORED_SPLIT, Run, Settings
from benchmarks.experiments.tweets import data, models
from benchmarks.experiments.tweets.models import Start
from t5x_lite.features.layouts import Layout

STEPS, BATCH_SIZE, LENGTH, DROPOUT = 300, 16, 64, 0.1
ENCODER_RATE, TEXT_RATE = 0.0005, 0.01
# Of models as they are published: BERT's paper has 2e-5 to 5e-5, T5's 0.001.
GIVEN_ENCODER_RATE, GIVEN_TEXT_RATE = 0.00005, 0.001


@dataclasses.dataclass(frozen=True, kw_only=True)
class Factors:
    """What is varied, one at a time; `rate` is times the usual learning rate. Of batches of another
    size there are as many as make the same number of rows.
    """

    task: str = data.TASK
    few_pieces: bool = False
    class_weights: tuple[float, ...] = ()
    rate: float = 1.0
    batch_size: int = BATCH_SIZE


@dataclasses.dataclass(frozen=True)
class _Form:
    """How models of a layout are fine-tuned: the ending of their tasks' names, the recipe, the
    learning rates of the lab's models and of directories that were given, and the rest.
    """

    ending: str
    recipe: str
    rate: float
    rate_of_given: float
    lengths: Mapping[str, int]
    settings: Settings = dataclasses.field(default_factory=dict)


_FORMS = {
    Layout.ENCODER: _Form(
        "_encoder",
        "recipes/encoder_classes.gin",
        ENCODER_RATE,
        GIVEN_ENCODER_RATE,
        {"inputs": LENGTH, "token_types": LENGTH, "classes": 1},
        {"NUM_CLASSES": 2, "TRAIN_STEPS": None},
    ),
    Layout.ENCODER_DECODER: _Form(
        "",
        "recipes/finetune.gin",
        TEXT_RATE,
        GIVEN_TEXT_RATE,
        {"inputs": LENGTH, "targets": 16},
    ),
}


def finetuning(lab: Lab, key: str, start: Start, arm: str, seed: int, factors: Factors) -> Run:
    """All parameters, with a seed for the order of the tweets, dropout and the new head."""
    row = models.ROWS[key]
    form = _FORMS[row.kind.layout]
    steps = lab.scale.steps(STEPS * BATCH_SIZE // factors.batch_size)
    given = start.given
    rate = form.rate if given is None else form.rate_of_given
    run = Run(
        f"tweets/{row.name}/{arm}_from_{start.name}_seed_{seed}",
        steps,
        seed,
        {
            **start.sizes,
            **form.settings,
            "MIXTURE_OR_TASK_NAME": factors.task + form.ending,
            "TASK_FEATURE_LENGTHS": form.lengths,
            "TASK_FILES": str(data.folder(lab)),
            "BATCH_SIZE": factors.batch_size,
            "EVAL_STEPS": 8,
            "DROPOUT_RATE": DROPOUT,
            "LEARNING_RATE": factors.rate * rate,
            "ScheduleConfig.total_steps": steps,
        },
        gin_files=(form.recipe,),
        start_from=start.run,
        fresh=True,
        model_file=row.model_file,
        vocabulary=None if start.run is None else start.run.vocabulary,
        directory=None if given is None else lambda lab: pathlib.Path(given),
    )
    if factors.class_weights:
        settings = {**run.settings, "CLASS_WEIGHTS": factors.class_weights}
        run = dataclasses.replace(run, settings=settings)
    return run if row.kind is models.ENCODER else run.decaying


def scores(lab: Lab, key: str, run: Run) -> dict[str, float]:
    """Accuracy and F1 of the test split."""
    from t5x_lite.evaluation.files import Scored
    from t5x_lite.evaluation.runs import read_run

    form = _FORMS[models.ROWS[key].kind.layout]
    task = str(run.settings["MIXTURE_OR_TASK_NAME"])
    settings = {
        "TASK_FEATURE_LENGTHS": form.lengths,
        "TASK_FILES": run.settings["TASK_FILES"],
        "MAX_DECODE_LENGTH": form.lengths.get("targets", 1),
    }
    folder = lab.decode(run, task, settings=settings)
    return dict(read_run(folder).newest[Scored(task, SCORED_SPLIT)].scores)
