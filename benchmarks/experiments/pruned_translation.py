"""P-5: stacks of T5 of which four of five weights are 0, and what their translations are worth
(Zafrir et al. 2021, of encoders; here of both stacks).
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from benchmarks.experiments import corpora, finetuning, modes, pruned
from benchmarks.experiments.experiment import Chart, Comparison, Experiment, Record, by_seed
from benchmarks.experiments.lab import Lab
from benchmarks.experiments.runs import Run

STEPS, LEARNING_RATE, SPARSITY = 400, 0.01, 0.8
BEFORE, DENSE = "before", "dense"
TAUGHT, GRADUAL = "gradual, with a teacher", "gradual"
FILES: Mapping[str, tuple[str, ...]] = {
    DENSE: (),
    TAUGHT: ("compression/prune.gin", "compression/teacher.gin"),
    GRADUAL: ("compression/prune.gin",),
}
TASK = corpora.with_empty(0.0)


def first(lab: Lab, seed: int) -> Run:
    """D-5's model of which no target was empty: what all arms start from, and the teacher."""
    return modes.training(lab, 0.0, seed)


def training(lab: Lab, arm: str, seed: int) -> Run:
    """As many steps more, with one of the ways to prune."""
    start, steps = first(lab, seed), lab.scale.steps(STEPS)
    schedule = {
        "LEARNING_RATE_FACTORS": "constant * linear_warmup * linear_decay",
        "LEARNING_RATE": LEARNING_RATE,
        "WARMUP_STEPS": max(1, steps // 10),
        "ScheduleConfig.total_steps": steps,
    }
    if FILES[arm]:
        schedule["LEARNING_RATE_FACTORS"] = "constant * linear_warmup * rewound_decay"
    run = dataclasses.replace(
        start,
        name=f"pruned_translation/{arm.replace(', ', '_').replace(' ', '_')}_seed_{seed}",
        steps=steps,
        settings={**start.settings, **schedule},
        start_from=start,
        fresh=True,
    )
    return pruned.with_pruning(run, FILES[arm], SPARSITY)


def measure(lab: Lab, seeds: Sequence[int]) -> Iterator[Record]:
    """BLEU of the validation pairs, and which share of the kernels is 0."""
    for seed in seeds:
        yield Record(BEFORE, seed, _scores(lab, first(lab, seed)))
        for arm in FILES:
            yield Record(arm, seed, _scores(lab, training(lab, arm, seed)))


def _scores(lab: Lab, run: Run) -> dict[str, float]:
    return {
        "bleu": finetuning.scores(lab, run, TASK)["bleu"],
        "zeros": 100 * pruned.zeros(lab, run),
    }


def _notes(records: Sequence[Record]) -> list[str]:
    mean = {
        arm: float(np.mean([*by_seed(records, arm, "bleu").values()]))
        for arm in (DENSE, TAUGHT, GRADUAL)
    }
    zeros = by_seed(records, TAUGHT, "zeros") | by_seed(records, GRADUAL, "zeros")
    return [
        f"Beside the {mean[DENSE]:.1f} BLEU of as many dense steps the pruned models have, in the "
        f"mean, {mean[TAUGHT] - mean[DENSE]:+.1f} with a teacher and "
        f"{mean[GRADUAL] - mean[DENSE]:+.1f} without; the share of zeros is "
        f"{min(zeros.values()):.2f} to {max(zeros.values()):.2f} %."
    ]


EXPERIMENT = Experiment(
    key="P-5",
    title="Four of five weights of a translator gone",
    claim=(
        "gradual pruning with a teacher has a higher BLEU than gradual pruning alone, and neither "
        "more than as many dense steps"
    ),
    setup=(
        f"D-5's models of which no target was empty ({modes.STEPS:,} steps of {modes.BATCH_SIZE} "
        f"packed rows of {modes.LENGTH} + {modes.LENGTH} on Multi30k English to German), then "
        f"{STEPS} steps more on the same pairs in each way: as they were, or with "
        f"{100 * SPARSITY:g} % of the weights of each layer of both stacks pruned, gradually in "
        f"{pruned.UPDATES} updates of the first half with the learning rate rewound, with and "
        "without the model as it was for a teacher (half of the loss, temperature 2). Adafactor, "
        f"dropout 0.1, a rate of {LEARNING_RATE} with a warm-up of a tenth of the steps, then to 0 "
        "in a line. Cased BLEU (sacrebleu, intl tokens) of the greedy text of the 1,014 validation "
        "pairs. No other learning rate was tried."
    ),
    measure=measure,
    chart=Chart("bleu", "BLEU on Multi30k val"),
    metrics={"bleu": "BLEU", "zeros": "weights that are 0, %"},
    comparisons=(
        Comparison(GRADUAL, TAUGHT, "bleu"),
        Comparison(DENSE, TAUGHT, "bleu"),
        Comparison(DENSE, GRADUAL, "bleu"),
    ),
    notes=_notes,
)
