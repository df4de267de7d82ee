"""Records as markdown."""

from collections.abc import Sequence

from benchmarks.experiments import statistics
from benchmarks.experiments.experiment import (
    Experiment,
    Record,
    arms,
    by_seed,
    difference,
)
from benchmarks.markdown import table


def arms_table(experiment: Experiment, records: Sequence[Record]) -> list[str]:
    """A row for each arm: mean and standard deviation of every metric over its seeds."""
    rows = []
    for arm in arms(records):
        cells = []
        for metric in experiment.metrics:
            values = list(by_seed(records, arm, metric).values())
            cells.append(str(statistics.spread(values)) if values else "-")
        seeds = len({record.seed for record in records if record.arm == arm} - {None})
        rows.append([arm, str(seeds) if seeds else "-", *cells])
    return table(["arm", "seeds", *experiment.metrics.values()], rows)


def differences_table(experiment: Experiment, records: Sequence[Record]) -> list[str]:
    """A row for each comparison both of whose arms were measured."""
    rows = []
    measured = arms(records)
    for each in experiment.comparisons:
        if each.first in measured and each.second in measured:
            found = difference(records, each)
            rows.append(
                [
                    f"{each.second} minus {each.first}",
                    experiment.metrics[each.metric],
                    str(found),
                    found.verdict,
                ]
            )
    if not rows:
        return []
    head = ["paired by seed", "of", "mean [95 % interval, Student's t]", "is"]
    return ["", *table(head, rows)]
