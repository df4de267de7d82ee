"""M-6: does quality rise with the width of adapters (Raffel et al. 2020, table 10)?"""

import dataclasses
from collections.abc import Iterator, Sequence

from benchmarks.experiments.experiment import Chart, Comparison, Experiment, Record
from benchmarks.experiments.finetuning import BUDGETS, ENDE, from_wikitext, scores
from benchmarks.experiments.lab import Lab
from benchmarks.experiments.runs import Run

WIDTHS = (8, 64, 512)
FULL = "all parameters"


def adapter(width: int) -> str:
    """The arm's name."""
    return f"adapters, d = {width}"


def finetuning_of(lab: Lab, width: int, seed: int) -> Run:
    """A fine-tuning from M-1's pre-training, but for what is trained."""
    full = from_wikitext(lab, ENDE, seed)
    return dataclasses.replace(
        full,
        name=f"adapters/{width}_seed_{seed}",
        settings={**full.settings, "ADAPTER_DIM": width},
        gin_files=(*full.gin_files, "finetuning/adapters.gin"),
    )


def measure(lab: Lab, seeds: Sequence[int]) -> Iterator[Record]:
    """BLEU of every width, and of the same fine-tuning of all parameters."""
    for seed in seeds:
        for width in WIDTHS:
            run = finetuning_of(lab, width, seed)
            yield Record(adapter(width), seed, scores(lab, run, ENDE))
        yield Record(FULL, seed, scores(lab, from_wikitext(lab, ENDE, seed), ENDE))


EXPERIMENT = Experiment(
    key="M-6",
    title="Adapters of several widths",
    claim="BLEU rises with the width d of the adapters",
    setup=(
        f"A fine-tuning of {BUDGETS[ENDE].steps} steps on M-3's 2,000 pairs, from M-1's "
        "checkpoints, their optimizer included, at a rate of 0.01 that decays; only adapters and "
        "layer norms are trained: the embedding, which is the head too, never saw German."
    ),
    measure=measure,
    chart=Chart(
        "bleu",
        "BLEU on Multi30k val",
        x={adapter(width): width for width in WIDTHS},
        x_label="adapter width d (model width 128)",
    ),
    metrics={"bleu": "BLEU"},
    comparisons=(
        *(Comparison(adapter(a), adapter(b), "bleu") for a, b in zip(WIDTHS, WIDTHS[1:])),
        Comparison(adapter(WIDTHS[0]), adapter(WIDTHS[-1]), "bleu"),
    ),
)
