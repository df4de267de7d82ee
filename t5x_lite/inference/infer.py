"""The inference job: predictions of a task as jsonl, in T5X's format."""

import jax

from t5x_lite.checkpoints.manager import absolute
from t5x_lite.data.examples import EvaluationTask, Example, evaluation_tasks
from t5x_lite.inference.config import InferConfig
from t5x_lite.inference.predictor import make_predictor
from t5x_lite.json_lines import write_lines
from t5x_lite.training.progress import say


def infer(config: InferConfig, operative_config: str) -> None:
    """Writes INFER_OUTPUT_DIR/<task>-predict.jsonl-00000-of-00001 for each task of a mixture; the
    empty file <the same>.COMPLETED says that it is whole.
    """
    dataset, output = config.dataset, absolute(config.output_dir)
    predictor = make_predictor(config)
    for task in evaluation_tasks(dataset.mixture_or_task_name, split=dataset.split):
        examples, texts = predictor.answer(task, config, label="infer")
        lines = [
            {"inputs": _texts(task, example), "prediction": text}
            for example, text in zip(examples, texts, strict=True)
        ]
        if jax.process_index() == 0:
            output.mkdir(parents=True, exist_ok=True)
            path = output / f"{task.name}-predict.jsonl-00000-of-00001"
            write_lines(path, lines)
            (output / f"{path.name}.COMPLETED").write_text("")
            (output / "infer_config.gin").write_text(operative_config)
            say(f"{len(lines)} predictions in {path}")


def _texts(task: EvaluationTask, example: Example) -> dict[str, str]:
    """The example's strings; those of inputs and targets are decoded where the task kept none."""
    texts = {name: value for name, value in example.items() if isinstance(value, str)}
    known = (name for name in ("inputs", "targets") if name in example)
    return texts | {f"{name}_pretokenized": task.text(example, name) for name in known}
