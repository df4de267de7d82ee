"""What an evaluation of many tasks comes to: GLUE's and SuperGLUE's averages.

In the folder inference_eval: benchmark_averages.jsonl ({"step": n, "split": ..., "glue_average":
...}) and TensorBoard events benchmark_averages/ (tags eval/glue_average, eval/super_glue_average);
of another split than "validation" benchmark_averages-<split>.
"""

from collections.abc import Sequence

from t5x_lite.evaluation import files
from t5x_lite.evaluation.scoring import Result, Writing
from t5x_lite.json_lines import append_line, same
from t5x_lite.metrics import benchmark_averages
from t5x_lite.training.writers import ScalarWriter

NAME = "benchmark_averages"


def averages(results: Sequence[Result]) -> dict[str, float]:
    """The averages of benchmarks of which every task was evaluated."""
    return benchmark_averages.averages({each.task: each.scores for each in results})


def what_is_missing(results: Sequence[Result]) -> list[str]:
    """What keeps a benchmark of which several tasks were evaluated from an average."""
    return benchmark_averages.what_is_missing({each.task: each.scores for each in results})


def write_averages(results: Sequence[Result], writing: Writing) -> None:
    """At the step of the newest checkpoint, where each task has its own best one; nothing where no
    benchmark is complete.
    """
    found = averages(results)
    if not found:
        return
    step = max(each.step for each in results)
    with writing.attempting():
        name = writing.name(NAME)
        line = {"step": step, "split": writing.split, **found}
        path = writing.folder / f"{name}.jsonl"
        if any(same([each], [line]) for each in files.read(path)):
            return
        append_line(path, line)
        writer = ScalarWriter(writing.folder / name)
        writer.write(step, {f"eval/{name}": value for name, value in found.items()})
        writer.close()
