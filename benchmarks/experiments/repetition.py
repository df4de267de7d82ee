"""M-5: a corpus that is read again and again (Raffel et al. 2020, table 9 and figure 6)."""

import dataclasses
from collections.abc import Iterator, Sequence

from benchmarks.experiments.corpora import FIRST_TOKENS, first_tokens
from benchmarks.experiments.experiment import Chart, Comparison, Experiment, Record, by_seed
from benchmarks.experiments.lab import Lab
from benchmarks.experiments.pretraining import TASK, held_out_loss, pretraining
from benchmarks.experiments.runs import Run

# 2^20 tokens of text: 2^14 rows, each of which hides 15 % of about 64.
STEPS = 1_024
_TOKENS = 2**20
ALL = "all of it"

ARMS = {ALL: TASK} | {
    f"{_TOKENS // num_tokens:,} times {num_tokens:,} tokens": first_tokens(num_tokens)
    for num_tokens in FIRST_TOKENS
}
FEW, MANY = list(ARMS)[1:]


def training(lab: Lab, arm: str, seed: int) -> Run:
    """M-1's pre-training on a part of the corpus; tested on the same other articles."""
    steps = lab.scale.steps(STEPS)
    settings = {
        **pretraining(lab, seed).settings,
        "MIXTURE_OR_TASK_NAME": ARMS[arm],
        "train_eval/DatasetConfig.mixture_or_task_name": TASK,
        "EVAL_PERIOD": max(1, steps // 16),
        "EVAL_STEPS": 10,
        "CHECKPOINT_PERIOD": steps,
    }
    name = f"repetition/{ARMS[arm].removeprefix('experiments_')}_seed_{seed}"
    return dataclasses.replace(pretraining(lab, seed), name=name, steps=steps, settings=settings)


def measure(lab: Lab, seeds: Sequence[int]) -> Iterator[Record]:
    """The loss of the last training steps, the last held-out loss and the lowest."""
    from t5x_lite.evaluation.runs import read_run

    for seed in seeds:
        for arm in ARMS:
            run = training(lab, arm, seed)
            curve = held_out_loss(lab, run, TASK)
            losses = [loss for _, loss in curve]
            trained = read_run(lab.folder(run)).train[-1]["loss_per_token"]
            found = {"train": trained, "loss": losses[-1], "lowest": min(losses)}
            yield Record(arm, seed, found | {"rise": losses[-1] - min(losses)}, curve)


def _notes(records: Sequence[Record]) -> list[str]:
    rises = {arm: by_seed(records, arm, "rise").values() for arm in ARMS}
    falls = by_seed(records, MANY, "train").values()
    holds = min(rises[MANY]) > max(*rises[FEW], *rises[ALL])
    shape = "The shape of the paper's figure is there" if holds else "The shape is NOT there"
    return [
        f"{shape}: with {MANY} the training loss ends at {max(falls):.2f} or below, and the "
        f"held-out loss {min(rises[MANY]):.2f} nats or more above its lowest point; with {FEW} it "
        f"ends at most {max(rises[FEW]):.2f} above it, on all text {max(rises[ALL]):.2f}."
    ]


EXPERIMENT = Experiment(
    key="M-5",
    title="A corpus read again and again",
    claim="with more repetitions the training loss falls and the held-out loss rises",
    setup=(
        f"M-1's pre-training for {STEPS:,} steps on all of its corpus, and on the first 2^14 and "
        "2^8 tokens of it, each time with other noise. Held-out loss on the same 160 rows of other "
        "articles for every arm; it is measured every 64 steps."
    ),
    measure=measure,
    chart=Chart("loss", "held-out loss, nats a target token", x="step"),
    metrics={
        "train": "training loss at the end, nats",
        "loss": "held-out loss at the end",
        "lowest": "lowest held-out loss",
    },
    comparisons=(Comparison(ALL, FEW, "loss"), Comparison(FEW, MANY, "loss")),
    notes=_notes,
)
