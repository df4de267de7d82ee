"""The fine-tuning of encoders of captions on SST-2: what P-3 and P-6 share."""

import dataclasses

from benchmarks.experiments import encoders, pruned
from benchmarks.experiments.lab import Lab
from benchmarks.experiments.runs import SCORED_SPLIT, Run

TASK = "experiments_sst2_encoder"
STEPS, BATCH_SIZE, LEARNING_RATE, DROPOUT = 600, 48, 0.0005, 0.1
LENGTHS = {"inputs": encoders.CAPTIONS.length, "token_types": encoders.CAPTIONS.length}
SETUP = (
    f"Of each sentence of SST-2 the first {encoders.CAPTIONS.length} tokens, [CLS] and [SEP] "
    "included, in the WordPiece of captions, for the pre-trained model knows no more positions; "
    f"{BATCH_SIZE} packed rows a step; a new head with a dense layer of its own; accuracy on the "
    "872 dev sentences."
)


def tuned(
    lab: Lab,
    name: str,
    seed: int,
    *,
    start: Run | None,
    steps: int = STEPS,
    learning_rate: float = LEARNING_RATE,
    gin_files: tuple[str, ...] = (),
) -> Run:
    """All parameters of a run, or random ones, with a new head; files of compression/ behind."""
    steps = lab.scale.steps(steps)
    return Run(
        name,
        steps,
        seed,
        {
            **encoders.SIZES,
            **encoders.SPECIAL,
            **pruned.FORM,
            "MAX_LENGTH": encoders.CAPTIONS.length,
            "CLASSES_POOLED": False,
            "CLASSES_TRANSFORM": "tanh",
            "NUM_CLASSES": 2,
            "TRAIN_STEPS": None,
            "MIXTURE_OR_TASK_NAME": TASK,
            "TASK_FEATURE_LENGTHS": {**LENGTHS, "classes": 1},
            "BATCH_SIZE": BATCH_SIZE,
            "EVAL_STEPS": 8,
            "DROPOUT_RATE": DROPOUT,
            "LEARNING_RATE": learning_rate,
            "ScheduleConfig.total_steps": steps,
        },
        gin_files=("recipes/encoder_classes.gin", *gin_files),
        start_from=start,
        fresh=True,
        model_file=pruned.MODEL_FILE,
        vocabulary=encoders.CAPTIONS.vocabulary,
    )


def with_settings(run: Run, settings: dict[str, object]) -> Run:
    """The same run with some of them changed."""
    return dataclasses.replace(run, settings={**run.settings, **settings})


def accuracy(lab: Lab, run: Run) -> float:
    """Of the dev sentences, in percent."""
    from t5x_lite.evaluation.files import Scored
    from t5x_lite.evaluation.runs import read_run

    lengths = run.settings["TASK_FEATURE_LENGTHS"]
    settings = {"TASK_FEATURE_LENGTHS": lengths, "MAX_DECODE_LENGTH": 1}
    folder = lab.decode(run, TASK, settings=settings)
    return dict(read_run(folder).newest[Scored(TASK, SCORED_SPLIT)].scores)["accuracy"]
