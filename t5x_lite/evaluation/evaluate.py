"""The evaluation job: every example of each task once, decoded, scored, written down."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

import jax
from etils import epath
from rich import console as rich_console
from rich import table as rich_table

from t5x_lite.checkpoints.manager import absolute
from t5x_lite.data.examples import EvaluationTask, Example, evaluation_tasks
from t5x_lite.evaluation.config import EvalConfig
from t5x_lite.inference.predictor import make_predictor
from t5x_lite.training.progress import say
from t5x_lite.training.writers import ScalarWriter, append_line, write_lines


@dataclasses.dataclass(frozen=True)
class Result:
    """Scores of one task beside what needs no model: copying the input, one constant answer."""

    task: str
    num_examples: int
    scores: dict[str, float]
    copy: dict[str, float]
    constant: dict[str, float]

    def baseline(self, metric: str) -> float:
        """The higher of the two trivial baselines."""
        return max(self.copy[metric], self.constant[metric])


def evaluate(config: EvalConfig, operative_config: str) -> list[Result]:
    """Scores each task of a mixture on its own; writes, under EVAL_OUTPUT_DIR/inference_eval,
    <task>-<step>.jsonl (one line per example), <task>-metrics.jsonl, <task>-baselines.json and
    TensorBoard events with the tags eval/<metric>.

    Raises:
        ValueError: no task of the mixture has a metric or an example in this split.
    """
    dataset, output = config.dataset, absolute(config.output_dir)
    tasks = evaluation_tasks(dataset.mixture_or_task_name, split=dataset.split)
    scored = [task for task in tasks if task.has_metrics]
    if not scored:
        raise ValueError(
            f"nothing to evaluate: no task of {dataset.mixture_or_task_name!r} with the split "
            f"{dataset.split!r} has metric_fns(targets, predictions) (found "
            f"{[task.name for task in tasks]}); metrics of scores are not computed. Register the "
            "task with metric_fns=[...], or write predictions with `t5x_lite infer`."
        )
    predictor = make_predictor(config, dataset)
    results = []
    for task in scored:
        examples, texts = predictor.answer(
            task, dataset, num_examples=config.num_examples, label="eval"
        )
        results.append(_score(task, examples, texts, predictor.step, output / "inference_eval"))
    if jax.process_index() == 0:
        (output / "eval_config.gin").write_text(operative_config)
        rich_console.Console().print(make_table(results))
        say(f"written to {output / 'inference_eval'}")
    return results


def make_table(results: Sequence[Result]) -> rich_table.Table:
    """Task, metric, score, trivial baseline."""
    table = rich_table.Table(title="evaluation")
    for name in ("task", "metric", "score", "trivial baseline", "examples"):
        table.add_column(name, justify="left" if name in ("task", "metric") else "right")
    for result in results:
        for metric, score in result.scores.items():
            table.add_row(
                result.task,
                metric,
                f"{score:.2f}",
                f"{result.baseline(metric):.2f}",
                str(result.num_examples),
            )
    return table


def _score(
    task: EvaluationTask,
    examples: Sequence[Example],
    texts: Sequence[str],
    step: int,
    folder: epath.Path,
) -> Result:
    """Writes predictions, then scores, then baselines: an error in one loses nothing before it."""
    writes = jax.process_index() == 0
    if writes:
        _write_predictions(folder / f"{task.name}-{step:06}.jsonl", task, examples, texts)
    targets = [task.target(example) for example in examples]

    def scores_of(answers: Sequence[str]) -> dict[str, float]:
        predictions = [
            task.prediction(answer, example)
            for answer, example in zip(answers, examples, strict=True)
        ]
        return task.score(targets, predictions)

    scores = scores_of(texts)
    if writes:
        _write_scores(folder, task.name, step, scores)
    # T5 writes "task prefix: text"; the copy baseline repeats the text.
    copies = [task.text(example, "inputs").split(": ", 1)[-1] for example in examples]
    answers = Counter(task.text(example, "targets") for example in examples)
    constant = [answers.most_common(1)[0][0]] * len(examples)
    result = Result(task.name, len(examples), scores, scores_of(copies), scores_of(constant))
    if writes:
        baselines = {"copy_input": result.copy, "most_frequent_target": result.constant}
        write_lines(folder / f"{task.name}-baselines.json", [baselines])
    return result


def _write_predictions(
    path: epath.Path, task: EvaluationTask, examples: Sequence[Example], texts: Sequence[str]
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        {
            "input": {name: value for name, value in example.items() if isinstance(value, str)}
            | {f"{name}_pretokenized": task.text(example, name) for name in ("inputs", "targets")},
            "target": task.target(example),
            "prediction": task.prediction(text, example),
        }
        for example, text in zip(examples, texts, strict=True)
    ]
    write_lines(path, lines)


def _write_scores(folder: epath.Path, task: str, step: int, scores: Mapping[str, float]) -> None:
    append_line(folder / f"{task}-metrics.jsonl", {"step": step, **scores})
    writer = ScalarWriter(folder / task)
    writer.write(step, {f"eval/{name}": value for name, value in scores.items()})
    writer.close()
