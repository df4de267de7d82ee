"""An evaluation from the files of a model to scores with intervals; scoring is ours in all arms."""

import pathlib
import shutil
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from etils import epath

from benchmarks.speed.arm import Prepared, first_seconds, seconds_of, timed
from benchmarks.speed.settings import Settings
from t5x_lite import config, json_lines
from t5x_lite.data.examples import Example, evaluation_tasks
from t5x_lite.evaluation import files
from t5x_lite.evaluation.answers import decoded, read_examples
from t5x_lite.evaluation.config import EvalConfig
from t5x_lite.evaluation.evaluate import evaluate
from t5x_lite.evaluation.scoring import ScoredTask, Writing
from t5x_lite.tasks import emoji  # noqa: F401 - it registers the task
from t5x_lite.text.default_vocabulary import set_default_vocabulary
from t5x_lite.text.huggingface_files import SENTENCEPIECE

_TASK, _SPLIT, _ANSWERS = "emoji_en_de", "validation", "inference_eval"
# Of a model that no run of ours has made.
_STEP = 0
Ids = Sequence[int]
# Inputs -> what a model writes.
Answer = Callable[[list[Ids]], list[Ids]]


def ours(settings: Settings) -> Prepared:
    """`t5x_lite eval`, which keeps its compiled programs from the first time on."""
    job = _job(settings, "ours")
    return _prepared(job, lambda: evaluate(job, ""))


def huggingface(settings: Settings, *, mode: str) -> Prepared:
    """`generate`, batch by batch."""
    import torch

    from benchmarks.speed.arms.huggingface import model_of

    def make() -> Answer:
        model = model_of(settings, mode).model

        @torch.inference_mode()
        def answer(rows: list[Ids]) -> list[Ids]:
            inputs = torch.from_numpy(_padded(rows)).long()
            mask = (inputs > 0).long()
            most = settings.targets
            found = model.generate(
                inputs, attention_mask=mask, max_new_tokens=most, do_sample=False
            )
            return found[:, 1:].tolist()  # without the start token

        return answer

    return _peer(settings, f"torch_{mode}", make)


def translator(settings: Settings, *, kind: str) -> Prepared:
    """`translate_batch`, batch by batch."""
    from benchmarks.speed.arms.translator import Translator

    def make() -> Answer:
        model = Translator(settings, kind)

        def answer(rows: list[Ids]) -> list[Ids]:
            pieces = model.pieces(np.asarray(row) for row in rows)
            found = model.write(pieces, beams=1, length=settings.targets)
            return [model.ids(each) for each in found]

        return answer

    return _peer(settings, f"ct2_{kind}", make)


def _peer(settings: Settings, name: str, make: Callable[[], Answer]) -> Prepared:
    job = _job(settings, name)
    writing = Writing(epath.Path(job.output_dir) / _ANSWERS, _SPLIT, job.decoding)

    def run() -> None:
        (task,) = evaluation_tasks(_TASK, split=_SPLIT)
        examples = read_examples(task, job.dataset, job.num_examples)
        rows = _answers(make(), examples, settings)
        scored = ScoredTask(task, examples)
        answers = decoded(task, rows)
        scored.result(answers, step=_STEP, writing=writing, statistics=job.statistics)

    return _prepared(job, run)


def _answers(answer: Answer, examples: Sequence[Example], settings: Settings) -> Any:
    inputs = [example["inputs"] for example in examples]
    batches = (inputs[at : at + settings.batch] for at in range(0, len(inputs), settings.batch))
    return _padded([row for batch in batches for row in answer(batch)])


def _prepared(job: EvalConfig, run: Callable[[], object]) -> Prepared:
    """What was written is the answer; it is written anew each time."""
    folder = pathlib.Path(job.output_dir) / _ANSWERS

    def anew() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        run()

    cold, _ = seconds_of(anew)
    lines = json_lines.read_lines(files.predictions_path(epath.Path(folder), _TASK, _STEP))
    return Prepared(timed(anew), first_seconds(cold), [line["prediction"] for line in lines])


def _job(settings: Settings, name: str) -> EvalConfig:
    """Of the examples' own lengths, without answers from before."""
    set_default_vocabulary(settings.directory / SENTENCEPIECE)
    values = {
        "CHECKPOINT_PATH": settings.directory,
        "EVAL_OUTPUT_DIR": settings.directory.with_suffix(f".{name}"),
        "MIXTURE_OR_TASK_NAME": _TASK,
        "SPLIT": _SPLIT,
        "BATCH_SIZE": settings.batch,
        "NUM_EXAMPLES": settings.examples,
        "MAX_DECODE_LENGTH": settings.targets,
        "REUSE_DECODES": False,
    }
    overrides = [("--gin", f"{name}={value}") for name, value in values.items()]
    return config.resolve(EvalConfig, ("recipes/eval.gin",), overrides=overrides).config


def _padded(rows: Sequence[Ids]) -> Any:
    padded = np.zeros((len(rows), max(map(len, rows))), np.int32)
    for number, row in enumerate(rows):
        padded[number, : len(row)] = row
    return padded
