"""M-8: what a raw token costs with spans of 3 and with i.i.d. noise (Raffel et al. 2020, 3.3.4)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.experiments import steps, tasks_at_hand
from benchmarks.experiments.experiment import Chart, Comparison, Experiment, Record, by_seed
from benchmarks.experiments.lab import Lab

if TYPE_CHECKING:
    from t5x_lite.training.config import TrainConfig

ROWS, ROUNDS = 4, 20
SPANS, IID = "spans of 3", "i.i.d. noise"
# A window of 512 and the targets that the paper gives each objective.
ARMS = {
    SPANS: ("experiments_wikitext", {"inputs": 512, "targets": 114}),
    IID: ("experiments_wikitext_iid", {"inputs": 512, "targets": 192}),
}
_NUM_SENTINELS, _END = 100, 1


def measure(lab: Lab, seeds: Sequence[int]) -> Iterator[Record]:
    """Each seed reads other batches. In every round both arms make a step, and who comes first
    changes, so that what else the machine does hits both alike; medians over rounds count.
    """
    tasks_at_hand.register(lab)
    rounds = lab.scale.steps(ROUNDS)
    for seed in seeds:
        found = {name: steps.of_job(_job(lab, *of, seed=seed), seed) for name, of in ARMS.items()}
        seconds = steps.timed_in_turn({name: arm for name, (arm, _) in found.items()}, rounds)
        raw = {
            name: [raw_tokens(batch, lab.scale.pieces) for batch in batches]
            for name, (_, batches) in found.items()
        }
        # The first batch was that of compiling.
        times = {
            name: [
                1e6 * each / raw[name][(number + 1) % steps.BATCHES]
                for number, each in enumerate(own)
            ]
            for name, own in seconds.items()
        }
        for name, (_, batches) in found.items():
            targets = [(batch["decoder_target_tokens"] > 0).sum() for batch in batches]
            yield Record(
                name,
                seed,
                {
                    "cost": float(np.median(times[name])),
                    # Of steps of one round, which met the same load.
                    "ratio": float(np.median(np.divide(times[name], times[IID]))),
                    "step": float(np.median(times[name])) * float(np.mean(raw[name])) / 1e3,
                    "raw": float(np.mean(raw[name])) / ROWS,
                    "targets": float(np.mean(targets)) / ROWS,
                },
            )


def _job(lab: Lab, task: str, lengths: Mapping[str, int], *, seed: int) -> "TrainConfig":
    from t5x_lite import config
    from t5x_lite.training.config import TrainConfig

    settings = {
        "MODEL_DIR": "unused",
        "MIXTURE_OR_TASK_NAME": task,
        "TASK_FEATURE_LENGTHS": dict(lengths),
        "BATCH_SIZE": ROWS,
        "TRAIN_STEPS": 1,
        "DROPOUT_RATE": 0.0,
        "RANDOM_SEED": seed,
        "VOCAB_SIZE": lab.vocab_size(),
        "SCAN_UNROLL": 2,
    }
    job: TrainConfig = config.resolve(
        TrainConfig,
        ["models/t5_1_0/mini.gin", "recipes/pretrain.gin"],
        overrides=[(name, f"{name}={value!r}") for name, value in settings.items()],
    ).config
    return job


def raw_tokens(batch: Mapping[str, np.ndarray], first_sentinel: int) -> int:
    """Tokens of the text in both parts: what is no padding, end token or sentinel."""
    both = [batch[name] for name in ("encoder_input_tokens", "decoder_target_tokens")]
    last = first_sentinel + _NUM_SENTINELS
    return sum(
        int(((ids > _END) & ~((ids >= first_sentinel) & (ids < last))).sum()) for ids in both
    )


def _notes(records: Sequence[Record]) -> list[str]:
    ratio = float(np.median(list(by_seed(records, SPANS, "ratio").values())))
    saved = 100 * (1 - ratio)
    return [f"A raw token takes {saved:.0f} % less time with spans of 3 (median over the seeds)."]


EXPERIMENT = Experiment(
    key="M-8",
    title="The cost of a raw token",
    claim="a step with spans of 3 is faster than one with i.i.d. noise, for each raw token",
    setup=(
        f"Training steps of {ROWS} rows of WikiText-2 at the paper's window of 512 with targets of "
        "114 and of 192, batches ready in memory; in each of "
        f"{ROUNDS} rounds both arms make one step, in changing order, and are compared with "
        "each other, since the machine does other work. Medians for each of three sets of batches."
    ),
    measure=measure,
    chart=Chart("ratio", "time for each raw token, relative to i.i.d. noise"),
    metrics={
        "cost": "us a raw token",
        "ratio": "relative to i.i.d. noise, in each round",
        "step": "ms a step",
        "raw": "raw tokens a row",
        "targets": "target tokens a row",
    },
    comparisons=(Comparison(IID, SPANS, "ratio"),),
    notes=_notes,
)
