"""E-3: what layers may have in common (Lan et al. 2020, table 4)."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from benchmarks.experiments import encoders, steps, tasks_at_hand
from benchmarks.experiments.experiment import Chart, Comparison, Experiment, Record
from benchmarks.experiments.lab import Lab
from benchmarks.experiments.runs import Run, Statement

OBJECTIVE = "masked_ngrams"
STEPS, LEARNING_RATE, LAYERS = 1_500, 0.002, 4
ROUNDS = 40
NOTHING = "nothing"
SHARINGS = {"all": "all", "attention": "attention", "mlp": "feed-forward", "none": NOTHING}


def training(lab: Lab, sharing: str, seed: int) -> Run:
    """One of the four."""
    return encoders.pretraining(
        lab,
        f"sharing/{sharing}_seed_{seed}",
        seed,
        objective=OBJECTIVE,
        corpus=encoders.CAPTIONS,
        model_file="models/albert/base.gin",
        recipe="encoder_pretrain",
        steps=STEPS,
        settings={
            "HEADS": Statement("(@masked/HeadConfig(),)"),
            "POOLER": False,
            "TOKEN_DIM": 64,
            "NUM_ENCODER_LAYERS": LAYERS,
            "LAYER_SHARING": sharing,
            "LEARNING_RATE": LEARNING_RATE,
        },
    )


def measure(lab: Lab, seeds: Sequence[int]) -> Iterator[Record]:
    """Parameters, the held-out loss of masked tokens, and what a step takes."""
    for seed in seeds:
        runs = {arm: training(lab, sharing, seed) for sharing, arm in SHARINGS.items()}
        curves = {}
        for arm, run in runs.items():
            lines = encoders.held_out(lab, run)
            curves[arm] = [(line["step"], line["cross_ent_loss"]) for line in lines]
        times = _times(lab, runs, seed)
        for arm, run in runs.items():
            scores = {
                "loss": curves[arm][-1][1],
                "parameters": encoders.num_parameters(lab, run) / 1e3,
                "step": 1e3 * float(np.median(times[arm])),
                # Of steps of one round, which met the same load.
                "ratio": float(np.median(np.divide(times[arm], times[NOTHING]))),
            }
            yield Record(arm, seed, scores, curves[arm])


def _times(lab: Lab, runs: Mapping[str, Run], seed: int) -> dict[str, list[float]]:
    """Seconds of steps of all arms in turn, by the settings of their runs."""
    from t5x_lite import config
    from t5x_lite.training.config import TrainConfig

    tasks_at_hand.register(lab, encoders.CAPTIONS.vocabulary)
    arms = {}
    for arm, run in runs.items():
        job = config.resolve(TrainConfig, [str(lab.train(run) / "config.gin")]).config
        arms[arm], _ = steps.of_job(job, seed)
    return steps.timed_in_turn(arms, lab.scale.steps(ROUNDS))


EXPERIMENT = Experiment(
    key="E-3",
    title="What layers have in common",
    claim=(
        "the fewer parameters, the higher the held-out loss; sharing the feed-forward layers costs "
        "more than sharing attention; speed hardly differs; reported, not gated"
    ),
    setup=(
        f"{STEPS:,} steps, {LAYERS} layers, token vectors of 64, ALBERT's n-grams, a rate of "
        f"{LEARNING_RATE}. {encoders.setup(encoders.CAPTIONS)} No other learning rate was tried. "
        f"A step takes the median of {ROUNDS} rounds in each of which every arm made one, in "
        "changing order, since the machine did other work."
    ),
    measure=measure,
    chart=Chart("loss", "held-out loss of masked tokens, nats", x="step"),
    metrics={
        "parameters": "thousand parameters",
        "step": "ms a step",
        "ratio": "relative to nothing, in each round",
        "loss": "held-out loss, nats",
    },
    comparisons=tuple(
        Comparison(NOTHING, arm, "loss") for arm in ("attention", "feed-forward", "all")
    ),
)
