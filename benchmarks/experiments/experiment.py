"""An experiment: arms times seeds give records, and records a section of text with a chart."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

from benchmarks.experiments import statistics
from benchmarks.experiments.lab import Lab

Points = Sequence[tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class Record:
    """What one run of one arm gave; a baseline that needs no run has no seed.

    `curve` is drawn where the chart is one of lines, such as (step, held-out loss).
    """

    arm: str
    seed: int | None
    scores: Mapping[str, float]
    curve: Points = ()


@dataclasses.dataclass(frozen=True)
class Comparison:
    """`second` against `first`, seed by seed."""

    first: str
    second: str
    metric: str


@dataclasses.dataclass(frozen=True)
class Chart:
    """Bars of a metric by arm with a dot for each seed, or with `x` lines over what it gives.

    `x` is a number for each arm (such as an adapter's width) or, if it is a text, the name of the
    curves' horizontal axis.
    """

    metric: str
    label: str
    x: Mapping[str, float] | str | None = None
    x_label: str = ""


@dataclasses.dataclass(frozen=True)
class Experiment:
    """`claim` is what the paper or the plan leads one to expect; what came of it is measured.

    `measure` yields each record as soon as there is one. `setup` says what a reader needs to judge
    the numbers, `setup_of` what a lab adds to it by what it was given. `notes` makes sentences of
    the records.
    """

    key: str
    title: str
    claim: str
    setup: str
    measure: Callable[[Lab, Sequence[int]], Iterator[Record]]
    chart: Chart
    metrics: Mapping[str, str]
    comparisons: Sequence[Comparison] = ()
    notes: Callable[[Sequence[Record]], list[str]] = lambda records: []
    setup_of: Callable[[Lab], str] = lambda lab: ""

    def of(self, lab: Lab) -> "Experiment":
        """With all of its set-up."""
        return dataclasses.replace(self, setup=f"{self.setup} {self.setup_of(lab)}".strip())


def arms(records: Sequence[Record]) -> list[str]:
    """In the order of their first records."""
    return list(dict.fromkeys(record.arm for record in records))


def by_seed(records: Sequence[Record], arm: str, metric: str) -> dict[int | None, float]:
    """A metric of one arm, for each seed that has it."""
    return {
        record.seed: record.scores[metric]
        for record in records
        if record.arm == arm and metric in record.scores
    }


def difference(records: Sequence[Record], comparison: Comparison) -> statistics.Difference:
    """Over the seeds that both arms have."""
    first, second = (
        by_seed(records, arm, comparison.metric) for arm in (comparison.first, comparison.second)
    )
    seeds = [seed for seed in first if seed in second]
    return statistics.paired_difference(
        [first[seed] for seed in seeds], [second[seed] for seed in seeds]
    )
