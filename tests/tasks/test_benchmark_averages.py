"""The averages of benchmarks are of scores that the tasks really have."""

import pytest

from t5x_lite.data.examples import find_task
from t5x_lite.metrics.benchmark_averages import GLUE, SUPER_GLUE

# Imported for what they register.
from t5x_lite.tasks import glue, super_glue  # noqa: F401

# Three labels or numbers, two labels, options of a question, answers to a query.
KINDS = [
    ([0, 1, 2], [0, 1, 2]),
    ([0, 1], [0, 1]),
    ([{"group": 0, "value": 1}], [{"value": 1}]),
    ([{"group": 0, "value": ["yes"]}], [{"value": "yes"}]),
]


def scores_of(metric):
    """All right: what the metric gives for the kind of targets that it is of."""
    for targets, predictions in KINDS:
        try:
            return metric(targets, predictions)
        except Exception:
            continue
    raise AssertionError(f"{metric} takes no targets of any kind")


@pytest.mark.parametrize("benchmark", [GLUE, SUPER_GLUE], ids=lambda each: each.average_name)
def test_a_perfect_model_scores_100(benchmark):
    """Nothing is missing, and every score of its tasks counts."""
    names = [name for scores in benchmark.tasks.values() for name in scores]
    results = {}
    for task in dict.fromkeys(name.partition("/")[0] for name in names):
        results[task] = {
            name: score
            for metric in find_task(task).metrics
            for name, score in scores_of(metric).items()
        }
    assert {f"{task}/{name}" for task in results for name in results[task]} == set(names)
    assert benchmark.average(results) == pytest.approx(100.0)
