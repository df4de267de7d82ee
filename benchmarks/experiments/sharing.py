"""E-3: what layers may have in common (Lan et al. 2020, table 4)."""

from collections.abc import Iterator, Sequence

from benchmarks.experiments import encoders
from benchmarks.experiments.experiment import Chart, Comparison, Experiment, Record
from benchmarks.experiments.lab import Lab
from benchmarks.experiments.runs import Run, Statement

OBJECTIVE = "masked_ngrams"
STEPS, LEARNING_RATE, LAYERS = 1_500, 0.002, 4
SHARINGS = {"all": "all", "attention": "attention", "mlp": "feed-forward", "none": "nothing"}


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
    """Parameters, steps a second and the held-out loss of masked tokens."""
    for seed in seeds:
        for sharing, arm in SHARINGS.items():
            run = training(lab, sharing, seed)
            lines = encoders.held_out(lab, run)
            curve = [(line["step"], line["cross_ent_loss"]) for line in lines]
            scores = {
                "loss": curve[-1][1],
                "parameters": encoders.num_parameters(lab, run) / 1e3,
                "speed": encoders.steps_per_second(lab, run),
            }
            yield Record(arm, seed, scores, curve)


EXPERIMENT = Experiment(
    key="E-3",
    title="What layers have in common",
    claim=(
        "the fewer parameters, the higher the held-out loss; sharing the feed-forward layers costs "
        "more than sharing attention; speed hardly differs; reported, not gated"
    ),
    setup=(
        f"{STEPS:,} steps, {LAYERS} layers, token vectors of 64, ALBERT's n-grams, a rate of "
        f"{LEARNING_RATE}. {encoders.setup(encoders.CAPTIONS)} Speed is the median over the log of "
        "a run, beside whatever else the machine did. No other learning rate was tried."
    ),
    measure=measure,
    chart=Chart("loss", "held-out loss of masked tokens, nats", x="step"),
    metrics={
        "parameters": "thousand parameters",
        "speed": "steps a second",
        "loss": "held-out loss, nats",
    },
    comparisons=tuple(
        Comparison("nothing", arm, "loss") for arm in ("attention", "feed-forward", "all")
    ),
)
