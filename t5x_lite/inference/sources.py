"""What an inference job reads: the examples of tasks, or the lines of a file."""

import dataclasses
import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from etils import epath
from jaxtyping import Float32

from t5x_lite.data.config import DatasetConfig
from t5x_lite.display.progress import say
from t5x_lite.errors import UserError
from t5x_lite.features.layouts import Layout
from t5x_lite.inference.batching import Ids
from t5x_lite.inference.config import InputFileConfig
from t5x_lite.inference.reading import Asked
from t5x_lite.model.choices import HeadKind
from t5x_lite.model.config import HeadConfig, ModelConfig
from t5x_lite.text.template import Framed
from t5x_lite.text.tokenizer import Tokenizer, inputs_ids, with_end
from t5x_lite.text_files import parse_json, read_text

if TYPE_CHECKING:
    from t5x_lite.data.examples import EvaluationTask, Example

_MAX_TOKENS = 2**15


class Said(NamedTuple):
    """What a head tells of an example as a text, and of classes how probable each is."""

    text: str
    probabilities: Mapping[str, float]


@dataclasses.dataclass(frozen=True)
class Asking:
    """What an encoder by itself is asked of each example: of which texts a head's outputs are
    wanted, and what is made of them.
    """

    head: str
    texts: Sequence[Sequence[Asked]]
    say: Sequence[Callable[[Sequence[Float32[np.ndarray, "..."]]], Said]]

    def of(self, which: slice) -> "Asking":
        """The same of some of the examples."""
        return dataclasses.replace(self, texts=self.texts[which], say=self.say[which])


@dataclasses.dataclass(frozen=True)
class Source:
    """Examples, each with the ids that are read and scored, and what is written of it.

    `targets` is None where there are none. `width` is the length that inputs are cut to. `asking`
    is there where a head answers.
    """

    name: str
    inputs: Sequence[Ids]
    targets: Sequence[Ids] | None
    texts: Sequence[Mapping[str, Any]]
    decode: Callable[[Ids], str]
    batch_size: int
    width: int | None
    asking: Asking | None = None

    @property
    def read(self) -> Sequence[Ids]:
        """The inputs, cut to `width`."""
        return [ids[: self.width] for ids in self.inputs]

    def shard(self, index: int, count: int) -> "Source":
        """Every count-th example from `index` on."""
        return self._of(slice(index, None, count))

    def part(self, start: int, end: int) -> "Source":
        """The examples from `start` up to `end`."""
        return self._of(slice(start, end))

    def _of(self, which: slice) -> "Source":
        return dataclasses.replace(
            self,
            inputs=self.inputs[which],
            targets=None if self.targets is None else self.targets[which],
            texts=self.texts[which],
            asking=None if self.asking is None else self.asking.of(which),
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
            asking=_asking(task, examples),
        )


def _asking(task: "EvaluationTask", examples: "Sequence[Example]") -> Asking | None:
    """What a task for an encoder by itself asks."""
    told = task.told
    if told is None:
        return None

    from t5x_lite.inference.predictor import asked_for

    def say(example: "Example", outputs: Sequence[Float32[np.ndarray, "..."]]) -> Said:
        reduced = told.reduce(outputs, example)
        return Said(task.told_text(reduced, example), task.probabilities(reduced))

    return Asking(
        told.head,
        [asked_for(each, told) for each in examples],
        [functools.partial(say, each) for each in examples],
    )


def _asking_of_texts(model: ModelConfig, framed: Sequence[Framed]) -> Asking | None:
    """What the model's own head of classes, or of a number, is asked of texts; None without one."""
    texts = [[Asked(each, 0)] for each in framed]
    if (head := model.head(HeadKind.CLASSES)) is not None:
        return Asking("classes", texts, [functools.partial(_class, head)] * len(texts))
    if model.head(HeadKind.REGRESSION) is not None:
        return Asking("regression", texts, [_number] * len(texts))
    return None


def _class(head: HeadConfig, outputs: Sequence[Float32[np.ndarray, " classes"]]) -> Said:
    (logits,) = outputs
    powers = np.exp(logits - logits.max())
    shares = dict(zip(head.names, (powers / powers.sum()).tolist(), strict=True))
    return Said(max(shares, key=shares.__getitem__), shares)


def _number(outputs: Sequence[Float32[np.ndarray, " one"]]) -> Said:
    (number,) = outputs
    return Said(f"{float(number[0]):.6g}", {})


def file_source(
    file: InputFileConfig,
    tokenizer: Tokenizer,
    model: ModelConfig,
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
    texts, asking = [row["inputs"] for row in rows], None
    if model.layout is Layout.ENCODER:
        framed = [_framed(tokenizer, text, file.inputs_length) for text in texts]
        inputs = [each.ids for each in framed]
        asking = _asking_of_texts(model, framed)
    else:
        inputs = inputs_ids(tokenizer, texts, model.prompts)
    if file.inputs_length is None:
        _refuse_long(path, inputs)
    elif model.layout is not Layout.ENCODER:
        keep = int(model.prompts.end_token)
        inputs = [_cut(ids, file.inputs_length, keep=keep) for ids in inputs]
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
        asking=asking,
    )


def _framed(tokenizer: Tokenizer, text: str, length: int | None) -> Framed:
    """What an encoder by itself reads of a text, which is cut for what stands around it."""
    ids = tokenizer.encode(text)
    if length is not None:
        ids = ids[: max(length - tokenizer.template.num_tokens(is_pair=False), 0)]
    return tokenizer.template.frame(tokenizer.special, ids)


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
