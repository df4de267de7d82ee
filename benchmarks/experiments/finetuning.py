"""Fine-tuning on 2,000 examples and its scores: what M-2, M-3, M-6, M-7 and M-9 share."""

import dataclasses

from benchmarks.experiments.lab import Lab
from benchmarks.experiments.pretraining import pretraining
from benchmarks.experiments.runs import SCORED_SPLIT, Run

NUM_PRETRAININGS = 3
LENGTHS = {"inputs": 64, "targets": 64}
SST2, ENDE = "experiments_sst2_2000", "experiments_ende_2000"
BATCH_SIZE = 8


@dataclasses.dataclass(frozen=True)
class Budget:
    """How many steps, and the learning rate that falls to zero over the second half of them."""

    steps: int
    learning_rate: float = 0.01


BUDGETS = {SST2: Budget(300), ENDE: Budget(500)}
_SETTINGS = {
    SST2: {"TASK_FEATURE_LENGTHS": {"inputs": 64, "targets": 16}},
    ENDE: {"TASK_FEATURE_LENGTHS": LENGTHS},
}


def finetuning(
    lab: Lab,
    task: str,
    seed: int,
    *,
    start: Run | None,
    start_step: int | None = None,
    fresh: bool = True,
    budget: Budget | None = None,
) -> Run:
    """All parameters, from those of a checkpoint of `start` (the last, if no step is named), or
    from random ones. The optimizer begins anew, unless `fresh` is False.
    """
    kind = "scratch" if start is None else start.name.partition("/")[0]
    if start_step is not None:
        kind += f"_{start_step}"
    if budget is not None:
        kind += f"_{budget.steps}_steps"
    budget = budget or BUDGETS[task]
    return Run(
        f"{task.removeprefix('experiments_')}/{kind}_seed_{seed}",
        lab.scale.steps(budget.steps),
        seed,
        {
            "MIXTURE_OR_TASK_NAME": task,
            **_SETTINGS[task],
            "BATCH_SIZE": BATCH_SIZE,
            "EVAL_STEPS": 8,
            "DROPOUT_RATE": 0.1,
            "LEARNING_RATE": budget.learning_rate,
        },
        gin_files=("recipes/finetune.gin",),
        start_from=start,
        start_step=start_step,
        fresh=fresh,
    ).decaying


def from_wikitext(lab: Lab, task: str, seed: int) -> Run:
    """What starts from M-1's pre-training, its optimizer included; seeds beyond those of M-1 start
    from M-1's again.
    """
    start = pretraining(lab, seed % NUM_PRETRAININGS)
    return finetuning(lab, task, seed, start=start, fresh=False)


def scores(lab: Lab, run: Run, task: str) -> dict[str, float]:
    """What `t5x_lite eval` wrote about a task."""
    from t5x_lite.evaluation.files import Scored
    from t5x_lite.evaluation.runs import read_run

    return dict(read_run(lab.decode(run, task)).newest[Scored(task, SCORED_SPLIT)].scores)


def baseline(lab: Lab, run: Run, task: str, name: str) -> dict[str, float]:
    """`copy_input` or `most_frequent_target`: scores that need no model."""
    from t5x_lite import json_lines
    from t5x_lite.evaluation.files import name_of

    folder = lab.decode(run, task) / "inference_eval"
    file = folder / f"{name_of(task, SCORED_SPLIT)}-baselines.json"
    return json_lines.read_lines(file)[0][name]
