"""M-1: does span corruption of WikiText-2 teach anything? Its runs start those of M-2, M-3, M-6."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.experiments import tasks_at_hand
from benchmarks.experiments.experiment import Chart, Experiment, Record
from benchmarks.experiments.lab import Lab
from benchmarks.experiments.runs import Run

TASK = "experiments_wikitext"
LENGTHS = {"inputs": 64, "targets": 16}
STEPS, BATCH_SIZE = 1_200, 16
_ALL = 1_000  # more batches than there are held-out examples

TRAINED, UNTRAINED, UNIGRAM = "trained", "untrained", "unigram entropy"


def pretraining(lab: Lab, seed: int) -> Run:
    """The run that other experiments fine-tune."""
    steps = lab.scale.steps(STEPS)
    return Run(
        f"pretrain/seed_{seed}",
        steps,
        seed,
        {
            "MIXTURE_OR_TASK_NAME": TASK,
            "TASK_FEATURE_LENGTHS": LENGTHS,
            "BATCH_SIZE": BATCH_SIZE,
            "EVAL_PERIOD": max(1, steps // 6),
            "EVAL_STEPS": lab.scale.steps(_ALL),
            "CHECKPOINT_PERIOD": max(1, steps // 4),
            "train_eval/DatasetConfig.split": "test",
        },
    )


def untrained(lab: Lab, seed: int) -> Run:
    """The same parameters before their first update: one step whose learning rate is zero."""
    trained = pretraining(lab, seed)
    settings = {
        **trained.settings,
        "LEARNING_RATE": 0.0,
        "EVAL_PERIOD": 1,
        "CHECKPOINT_PERIOD": 1,
    }
    return dataclasses.replace(trained, name=f"untrained/seed_{seed}", steps=1, settings=settings)


def measure(lab: Lab, seeds: Sequence[int]) -> Iterator[Record]:
    """Held-out loss of every target token, sentinels and end tokens included."""
    for seed in seeds:
        for arm, run in ((TRAINED, pretraining(lab, seed)), (UNTRAINED, untrained(lab, seed))):
            curve = held_out_loss(lab, run, TASK)
            # A level is drawn where there is nothing to see over steps.
            yield Record(arm, seed, {"loss": curve[-1][1]}, curve if arm == TRAINED else ())
    yield Record(UNIGRAM, None, {"loss": unigram_entropy(lab)})


def held_out_loss(lab: Lab, run: Run, task: str) -> list[tuple[int, float]]:
    """(step, nats a target token) at every evaluation.

    Raises:
        ValueError: the run was killed between its last checkpoint and its last evaluation.
    """
    from t5x_lite.evaluation.runs import read_run

    folder = lab.train(run)
    lines = read_run(folder).held_out.get(task, [])
    if not lines or lines[-1]["step"] != run.last_step:
        raise ValueError(
            f"{folder} lacks the evaluation at its last step, {run.last_step}: it was killed just "
            "before. Remove the folder and start again."
        )
    return [(line["step"], line["loss_per_token"]) for line in lines]


def unigram_entropy(lab: Lab) -> float:
    """Entropy in nats of the held-out target tokens themselves: no model that ignores the input and
    the tokens before can have a lower loss, whatever it was trained on.
    """
    from t5x_lite.data.config import DatasetConfig
    from t5x_lite.data.pipeline import make_batches
    from t5x_lite.features.layouts import Layout, ModelFeatures

    tasks_at_hand.register(lab)
    dataset = DatasetConfig(
        mixture_or_task_name=TASK,
        task_feature_lengths=LENGTHS,
        split="test",
        batch_size=BATCH_SIZE,
        shuffle=False,
    )
    counts = np.zeros(0, np.int64)
    for batch in make_batches(dataset, ModelFeatures(Layout.ENCODER_DECODER), num_epochs=1):
        targets = batch["decoder_target_tokens"]
        found = np.bincount(targets[targets > 0], minlength=len(counts))
        counts = found + np.pad(counts, (0, len(found) - len(counts)))
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def _notes(records: Sequence[Record]) -> list[str]:
    losses: dict[str, list[float]] = {record.arm: [] for record in records}
    for record in records:
        losses[record.arm].append(record.scores["loss"])
    worst, level = max(losses[TRAINED]), losses[UNIGRAM][0]
    holds = worst < level and worst < min(losses[UNTRAINED])
    relation = "below" if holds else "NOT below"
    return [
        f"The worst seed ends at {worst:.3f} nats, {relation} the unigram entropy of {level:.3f} "
        f"and the best untrained copy at {min(losses[UNTRAINED]):.3f}."
    ]


EXPERIMENT = Experiment(
    key="M-1",
    title="Span corruption on WikiText-2",
    claim="held-out loss falls below the unigram entropy and below that of an untrained copy",
    setup=(
        f"{STEPS:,} steps of {BATCH_SIZE} rows, inputs 64 and targets 16 (15 % in spans of 3), on "
        "2.1 M characters of WikiText-2 (85 % of the articles of its valid and test files); held "
        "out are the articles of the test split, all of them, with the same noise for every seed. "
        "The unigram entropy is that of the held-out targets themselves, sentinels included: a "
        "bound for every model without context."
    ),
    measure=measure,
    chart=Chart("loss", "held-out loss, nats a target token", x="step"),
    metrics={"loss": "held-out loss, nats"},
    notes=_notes,
)
