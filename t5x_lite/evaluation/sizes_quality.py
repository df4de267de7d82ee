"""What models that are put side by side are worth.

Scores are those of `evaluate`, and differences from the first model those of `compare`: on the same
examples, so that what is hard for both does not count.
"""

import dataclasses
import pathlib
import tempfile
from collections.abc import Callable, Mapping, Sequence

from t5x_lite.evaluation import compare
from t5x_lite.evaluation.config import EvalConfig
from t5x_lite.evaluation.evaluate import results_of
from t5x_lite.evaluation.files import Scored
from t5x_lite.evaluation.scoring import Result
from t5x_lite.evaluation.statistics import Comparison, Interval

# Of a path and a folder to write into: an evaluation whose tasks are registered.
JobOf = Callable[[str, str], EvalConfig]


@dataclasses.dataclass(frozen=True)
class Quality:
    """A score of a model, with its interval if there is one, and how it differs from the first
    model's; None for the first itself.
    """

    scored: Scored
    metric: str
    score: float
    interval: Interval | None
    num_examples: int
    difference: Comparison | None

    @property
    def name(self) -> str:
        """The task and the metric."""
        return f"{self.scored.task} {self.metric}"


def qualities(paths: Sequence[str], job_of: JobOf) -> list[list[Quality]]:
    """Of each model in turn; what evaluation writes goes afterwards.

    Raises:
        UserError: as `evaluate` and `compare`.
    """
    found: list[list[Quality]] = []
    with tempfile.TemporaryDirectory() as folder:
        outputs = [str(pathlib.Path(folder) / str(number)) for number in range(len(paths))]
        for path, output in zip(paths, outputs, strict=True):
            job = job_of(path, output)
            results = results_of(job)
            differences = _differences(outputs[0], output, job) if found else {}
            found.append([q for each in results for q in _quality(each, differences)])
    return found


def _differences(first: str, second: str, job: EvalConfig) -> dict[tuple[Scored, str], Comparison]:
    compared = compare.compare(compare.find(first), compare.find(second), job.statistics)
    return {(scored, each.metric): each for scored, own in compared.items() for each in own}


def _quality(result: Result, differences: Mapping[tuple[Scored, str], Comparison]) -> list[Quality]:
    scored = Scored(result.task, result.split)
    return [
        Quality(
            scored,
            metric,
            score,
            result.intervals.get(metric),
            result.num_examples,
            differences.get((scored, metric)),
        )
        for metric, score in result.scores.items()
    ]
