"""P-1: three ways to an encoder of which nine of ten weights are 0 (Zafrir et al. 2021)."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from benchmarks.experiments import encoders
from benchmarks.experiments.experiment import Chart, Comparison, Experiment, Record
from benchmarks.experiments.lab import Lab
from benchmarks.experiments.runs import Run, Statement

OBJECTIVE = "masked_ngrams"
FIRST_STEPS, STEPS, LEARNING_RATE = 6_000, 2_000, 0.002
MODEL_FILE = "models/albert/base.gin"
# Of the model, besides the sizes that all encoders here have.
FORM = {"POOLER": False, "TOKEN_DIM": 64, "LAYER_SHARING": "none"}
SPARSITY, UPDATES = 0.9, 20
BEFORE, DENSE = "before", "dense"
TAUGHT, GRADUAL, ONE_SHOT = "gradual, with a teacher", "gradual", "at once"
FILES: Mapping[str, tuple[str, ...]] = {
    DENSE: (),
    TAUGHT: ("compression/prune.gin", "compression/teacher.gin"),
    GRADUAL: ("compression/prune.gin",),
    ONE_SHOT: ("compression/one_shot.gin",),
}


def first(lab: Lab, seed: int) -> Run:
    """What all arms start from, and the teacher."""
    return pretraining(lab, f"pruned/first_seed_{seed}", seed, FIRST_STEPS)


def training(lab: Lab, arm: str, seed: int) -> Run:
    """As many steps more, with one of the ways to prune."""
    name = f"pruned/{arm.replace(', ', '_').replace(' ', '_')}_seed_{seed}"
    run = dataclasses.replace(
        pretraining(lab, name, seed, STEPS), start_from=first(lab, seed), fresh=True
    )
    return with_pruning(run, FILES[arm], SPARSITY)


def with_pruning(run: Run, files: tuple[str, ...], sparsity: float) -> Run:
    """A run with files of compression/ behind its recipe; gradual pruning ends at half of it."""
    end = max(1, run.steps // 2)
    pruning: dict[str, object] = {"SPARSITY": sparsity} if files else {}
    if "compression/prune.gin" in files:
        pruning |= {"PRUNING_END": end, "PRUNING_PERIOD": max(1, end // UPDATES)}
    return dataclasses.replace(
        run, settings={**run.settings, **pruning}, gin_files=(*run.gin_files, *files)
    )


def pretraining(lab: Lab, name: str, seed: int, steps: int) -> Run:
    """Of chosen n-grams of captions, from scratch; other experiments on compression start there."""
    return encoders.pretraining(
        lab,
        name,
        seed,
        objective=OBJECTIVE,
        corpus=encoders.CAPTIONS,
        model_file=MODEL_FILE,
        recipe="encoder_pretrain",
        steps=steps,
        settings={
            "HEADS": Statement("(@masked/HeadConfig(),)"),
            **FORM,
            "LEARNING_RATE": LEARNING_RATE,
        },
    )


def measure(lab: Lab, seeds: Sequence[int]) -> Iterator[Record]:
    """The held-out loss of masked tokens, and which share of the kernels is 0."""
    for seed in seeds:
        start = encoders.held_out(lab, first(lab, seed))[-1]["cross_ent_loss"]
        yield Record(BEFORE, seed, {"loss": start, "zeros": 0.0})
        for arm in FILES:
            run = training(lab, arm, seed)
            lines = encoders.held_out(lab, run)
            curve = [(line["step"], line["cross_ent_loss"]) for line in lines]
            yield Record(arm, seed, {"loss": curve[-1][1], "zeros": 100 * zeros(lab, run)}, curve)


def zeros(lab: Lab, run: Run) -> float:
    """The share of 0 among the weights of kernels in layers of the last checkpoint."""
    import numpy as np

    from t5x_lite.checkpoints import description, lookup, pretrained, restoring
    from t5x_lite.partitioning.config import PartitioningConfig
    from t5x_lite.partitioning.partitioner import make_partitioner

    checkpoint = lookup.find(lab.train(run))
    model = description.model_of(checkpoint)
    partitioner = make_partitioner(PartitioningConfig())
    parameters, _ = pretrained.load_parameters(checkpoint, model, partitioner)
    kernels = [
        np.asarray(leaf)
        for name, leaf in restoring.leaves(parameters).items()
        if "/layers/" in f"/{name}" and name.endswith("kernel")
    ]
    return sum(int(np.sum(each == 0)) for each in kernels) / sum(each.size for each in kernels)


EXPERIMENT = Experiment(
    key="P-1",
    title="Nine of ten weights gone",
    claim=(
        "gradual pruning with a teacher has a lower held-out loss than gradual pruning alone, and "
        "both than pruning at once, after equally many steps"
    ),
    setup=(
        f"{FIRST_STEPS:,} steps, then {STEPS:,} more from there in each way: as it was, or with "
        f"{100 * SPARSITY:g} % of each layer's weights pruned, gradually in {UPDATES} updates of "
        "the first half with the learning rate rewound, with and without the model as it was for "
        "a teacher (half of the loss, temperature 2), or all after the first step. ALBERT's "
        f"n-grams, 2 layers that share nothing, token vectors of 64, a rate of {LEARNING_RATE}. "
        f"{encoders.setup(encoders.CAPTIONS)} No other learning rate was tried."
    ),
    measure=measure,
    chart=Chart("loss", "held-out loss of masked tokens, nats"),
    metrics={"loss": "held-out loss, nats", "zeros": "weights that are 0, %"},
    comparisons=(
        Comparison(GRADUAL, TAUGHT, "loss"),
        Comparison(ONE_SHOT, TAUGHT, "loss"),
        Comparison(ONE_SHOT, GRADUAL, "loss"),
        Comparison(DENSE, TAUGHT, "loss"),
    ),
)
