"""What an inference job reads: the examples of tasks, or the lines of a file."""

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from etils import epath

from t5x_lite.data.config import DatasetConfig
from t5x_lite.display.progress import say
from t5x_lite.errors import UserError
from t5x_lite.features.config import PromptConfig
from t5x_lite.inference.batching import Ids
from t5x_lite.inference.config import InputFileConfig
from t5x_lite.text.tokenizer import Tokenizer, inputs_ids, with_end
from t5x_lite.text_files import parse_json, read_text

_MAX_TOKENS = 2**15


@dataclasses.dataclass(frozen=True)
class Source:
    """Examples, each with the ids that are read and scored, and what is written of it.

    `targets` is None where there are none. `width` is the length that inputs are cut to.
    """

    name: str
    inputs: Sequence[Ids]
    targets: Sequence[Ids] | None
    texts: Sequence[Mapping[str, Any]]
    decode: Callable[[Ids], str]
    batch_size: int
    width: int | None

    @property
    def read(self) -> Sequence[Ids]:
        """The inputs, cut to `width`."""
        return [ids[: self.width] for ids in self.inputs]

    def shard(self, index: int, count: int) -> "Source":
        """Every count-th example from `index` on."""
        targets = None if self.targets is None else self.targets[index::count]
        return dataclasses.replace(
            self,
            inputs=self.inputs[index::count],
            targets=targets,
            texts=self.texts[index::count],
        )

    def part(self, start: int, end: int) -> "Source":
        """The examples from `start` up to `end`."""
        targets = None if self.targets is None else self.targets[start:end]
        return dataclasses.replace(
            self, inputs=self.inputs[start:end], targets=targets, texts=self.texts[start:end]
        )


def task_sources(dataset: DatasetConfig, num_examples: int | None) -> Iterator[Source]:
    """The tasks of a mixture that have examples in the split, one after the other."""
    # A file of inputs needs no TensorFlow, so it is not imported for one.
    from t5x_lite.data.examples import (
        EvaluationTask,
        Example,
        evaluation_tasks,
        inputs_of,
        tasks_with_examples,
    )

    def texts(task: EvaluationTask, example: Example) -> dict[str, str]:
        """The example's strings; those of inputs and targets are decoded where it kept none."""
        kept = {name: value for name, value in example.items() if isinstance(value, str)}
        known = (name for name in ("inputs", "targets") if name in example)
        return kept | {f"{name}_pretokenized": task.text(example, name) for name in known}

    every = evaluation_tasks(dataset.mixture_or_task_name, split=dataset.split)
    tasks, empty = tasks_with_examples(every, dataset)
    if empty:
        say(empty)
    for task in tasks:
        examples = task.examples(
            split=dataset.split,
            task_feature_lengths=dataset.task_feature_lengths,
            num_examples=num_examples,
            use_cached=dataset.use_cached,
            seed=dataset.seed,
        )
        has_targets = all("targets" in example for example in examples)
        yield Source(
            name=task.name,
            inputs=inputs_of(examples),
            targets=[example["targets"] for example in examples] if has_targets else None,
            texts=[texts(task, example) for example in examples],
            decode=task.decode,
            batch_size=dataset.batch_size,
            width=(dataset.task_feature_lengths or {}).get("inputs"),
        )


def file_source(
    file: InputFileConfig,
    tokenizer: Tokenizer,
    prompts: PromptConfig,
    num_examples: int | None,
) -> Source:
    """The lines of a file: every line is an example, an empty one too, in the order of the file.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: it is no text in UTF-8, has no line or one of too many tokens, or a line of a
            .jsonl file has no text `inputs`.
    """
    path = epath.Path(file.path)
    if not path.exists():
        raise FileNotFoundError(f"no file at {path}: --gin.INPUT_FILE names the inputs.")
    # Not splitlines: it would also split at characters inside a text, such as U+2028.
    lines = read_text(path).removesuffix("\n").replace("\r\n", "\n").split("\n")[:num_examples]
    if lines == [""]:
        raise UserError(f"{path} is empty: needed is one input a line.")
    is_json = path.suffix == ".jsonl"
    rows = [
        _row(path, number, line) if is_json else {"inputs": line}
        for number, line in enumerate(lines, start=1)
    ]
    has_targets = all("targets" in row for row in rows)
    inputs = inputs_ids(tokenizer, [row["inputs"] for row in rows], prompts)
    if file.inputs_length is not None:
        inputs = [_cut(ids, file.inputs_length, keep=int(prompts.end_token)) for ids in inputs]
    else:
        _refuse_long(path, inputs)
    known = ("inputs", "targets")
    return Source(
        name=path.stem,
        inputs=inputs,
        targets=with_end(tokenizer, [row["targets"] for row in rows]) if has_targets else None,
        texts=[
            {f"{name}_pretokenized" if name in known else name: row[name] for name in row}
            for row in rows
        ],
        decode=tokenizer.decode,
        batch_size=file.batch_size,
        width=file.inputs_length,
    )


def _cut(ids: list[int], length: int, *, keep: int) -> list[int]:
    """At most `length` ids, the last `keep` of them among these."""
    if len(ids) <= length:
        return ids
    return [*ids[: length - keep], *ids[len(ids) - keep :]]


def _refuse_long(path: epath.Path, inputs: Sequence[Ids]) -> None:
    """Attention takes the square of a length: such lines ask for terabytes."""
    for number, ids in enumerate(inputs, start=1):
        if len(ids) > _MAX_TOKENS:
            raise UserError(
                f"{path}, line {number}, has {len(ids):,} tokens; needed are at most "
                f"{_MAX_TOKENS:,}, or --gin.INPUTS_LENGTH=512, which cuts every line to so many."
            )


def _row(path: epath.Path, number: int, line: str) -> dict[str, Any]:
    row = parse_json(line, f"{path}, line {number},")
    for name in ("inputs", "targets"):
        is_wrong = not isinstance(row, dict) or not isinstance(row.get(name, ""), str)
        if is_wrong or "inputs" not in row:
            raise UserError(
                f'{path}, line {number}: needed is {{"inputs": "text"}}, perhaps with "targets": '
                f'"text"; given {line[:80]}'
            )
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"{path}, line {number}: {error.object[error.start]!r} is half of a character, which "
            "is no text."
        ) from None
    return row
