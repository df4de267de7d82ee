"""The evaluation job: every example of each task once, decoded, scored, written down."""

import dataclasses
from collections.abc import Sequence

import jax
from rich import table as rich_table

from t5x_lite.checkpoints.manager import absolute
from t5x_lite.data.examples import EvaluationTask, evaluation_tasks, tasks_with_examples
from t5x_lite.display.progress import say
from t5x_lite.display.terminal import console, shown_range
from t5x_lite.errors import UserError
from t5x_lite.evaluation import selection
from t5x_lite.evaluation.answers import RestoredModel, read_examples
from t5x_lite.evaluation.averages import averages, what_is_missing, write_averages
from t5x_lite.evaluation.config import EvalConfig
from t5x_lite.evaluation.scoring import Result, ScoredTask, Writing


def evaluate(config: EvalConfig, operative_config: str) -> list[Result]:
    """Scores each task of a mixture on its own; `scoring` says what is written, all of it under
    EVAL_OUTPUT_DIR/inference_eval.

    CHECKPOINT_PATH=MODEL_DIR/best takes for each task the checkpoint that was best for it.

    Raises:
        UserError: no task of the mixture has a metric or an example in this split.
    """
    output = absolute(config.output_dir)
    results = results_of(config)
    if jax.process_index() == 0:
        (output / "eval_config.gin").write_text(operative_config)
        terminal = console()
        write_averages(results, _writing(config))
        terminal.print(make_table(results, config.statistics.confidence))
        if written := [result for result in results if result.rates]:
            terminal.print(make_rates(written))
        warnings = [line for result in results for line in result.warnings]
        for line in warnings + what_is_missing(results):
            say(line)
        say(f"written to {output / 'inference_eval'}")
    return results


def results_of(config: EvalConfig) -> list[Result]:
    """Those of each task, their predictions and scores written and nothing printed.

    Raises:
        UserError: as `evaluate`.
    """
    scorable = tasks_with_metrics(config.dataset.mixture_or_task_name, config.dataset.split)
    tasks, empty = tasks_with_examples(scorable, config.dataset)
    if empty:
        say(empty)
    writing = _writing(config)
    paths = selection.checkpoint_paths(config.checkpoint_path, [task.name for task in tasks])
    results = []
    for path in dict.fromkeys(paths.values()):
        model = RestoredModel(dataclasses.replace(config, checkpoint_path=path))
        for task in (task for task in tasks if paths[task.name] == path):
            examples = read_examples(task, config.dataset, config.num_examples)
            result = ScoredTask(task, examples).result(
                model.answer(task, examples),
                step=model.step,
                writing=writing,
                statistics=config.statistics,
            )
            results.append(result)
    return results


def _writing(config: EvalConfig) -> Writing:
    folder = absolute(config.output_dir) / "inference_eval"
    return Writing(folder, config.dataset.split, config.decoding)


def tasks_with_metrics(name: str, split: str) -> list[EvaluationTask]:
    """The tasks of a mixture that can be scored.

    Raises:
        UserError: there is none.
    """
    tasks = evaluation_tasks(name, split=split)
    scored = [task for task in tasks if task.has_metrics]
    if hidden := [task.name for task in tasks if not task.has_labels]:
        without = (
            f"the labels of the split {split!r} of {', '.join(hidden)} are not published: there is "
            "no score. Score --gin.SPLIT=validation; for a submission write predictions with "
            "`t5x_lite infer`."
        )
        if not scored:
            raise UserError(without)
        say(f"left out: {without}")
    if not scored:
        raise UserError(
            f"nothing to evaluate: no task of {name!r} with the split {split!r} has "
            f"metric_fns(targets, predictions) or (targets, scores) (found "
            f"{[task.name for task in tasks]}). Register the task with metric_fns=[...], or write "
            "predictions with `t5x_lite infer`."
        )
    return scored


def make_table(results: Sequence[Result], confidence: float) -> rich_table.Table:
    """Task, split, metric, score with its interval, trivial baseline; then benchmarks' averages."""
    table = rich_table.Table(title="evaluation")
    interval = f"{100 * confidence:g} % interval"
    for name in ("task", "split", "metric"):
        table.add_column(name, no_wrap=True)
    for name in ("score", interval, "trivial baseline", "examples", "step"):
        table.add_column(name, justify="right")
    drawn = {each.num_resamples for result in results for each in result.intervals.values()}
    table.caption = f"bootstrap percentiles of {shown_range(drawn)} resamples of the examples"
    for result in results:
        for metric, score in result.scores.items():
            baseline = result.baseline(metric)
            table.add_row(
                result.task,
                result.split,
                metric,
                f"{score:.2f}",
                str(result.intervals.get(metric, "-")),
                "-" if baseline is None else f"{baseline:.2f}",
                str(result.num_examples),
                str(result.step),
            )
    for name, value in averages(results).items():
        table.add_row(name, results[0].split, "mean of tasks", f"{value:.2f}", "", "", "", "")
    return table


def make_rates(results: Sequence[Result]) -> rich_table.Table:
    """What the answers look like, in per cent of them."""
    table = rich_table.Table(title="answers, in per cent")
    table.add_column("task")
    for name in results[0].rates:
        table.add_column(name, justify="right")
    for result in results:
        table.add_row(result.task, *(f"{rate:.1f}" for rate in result.rates.values()))
    return table
