"""Prompts for models that were not trained for a task, zero- to few-shot (Brown et al. 2020).

Every row of `prompt_templates` is three tasks, for three ways to ask:

| task                   | inputs                            | targets                | for      |
|------------------------|-----------------------------------|------------------------|----------|
| few_shot_<name>        | the prompt, which goes on         | ` positive`            | GPT-2    |
| few_shot_<name>_answer | the prompt and the end token      | `positive`             | T5's LMs |
| few_shot_<name>_fill   | the prompt ` <extra_id_0>`, ended | `<extra_id_0> positive`| T5       |

A prompt is demonstrations, each with its answer, then the item. How many demonstrations there are,
and which, the process says (`t5x_lite.data.few_shot`); those that do not fit into the inputs are
left out, the last drawn first. Targets have no end token: text goes on behind them.
"""

import dataclasses
import functools
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import seqio
import tensorflow as tf

import t5x_lite.tasks.glue
import t5x_lite.tasks.lambada
import t5x_lite.tasks.super_glue
import t5x_lite.tasks.translation  # noqa: F401, registers what the templates name
from t5x_lite.data import prompts
from t5x_lite.data.few_shot import few_shot
from t5x_lite.data.source import Source
from t5x_lite.data.task_files import task_files
from t5x_lite.tasks.demonstrations import Pool
from t5x_lite.tasks.prompt_templates import TEMPLATES, Fields, Template
from t5x_lite.tasks.registration import Example
from t5x_lite.text.seqio_vocabulary import DefaultVocabulary

# Of a training split, from its beginning: translations are millions.
MOST_DEMONSTRATIONS = 2**17
_AT_ONCE = 512
_PLACES = "prompt/places"
_BLANK = "<extra_id_0>"


@dataclasses.dataclass(frozen=True)
class Form:
    """A way to ask: what stands behind a prompt and before an answer, and the way back."""

    suffix: str
    behind_prompt: str
    before_answer: str
    ends: bool
    answer_in: Callable[[str], str]


def _first_line(text: str) -> str:
    """Of a text that goes on with other items."""
    return next((line.strip() for line in text.split("\n") if line.strip()), "")


def _blank_filled(text: str) -> str:
    """What stands between the first sentinel and the next."""
    behind = text.partition(_BLANK)[2] if _BLANK in text else text
    return re.split(r"<extra_id_\d+>", behind)[0].strip()


FORMS = (
    Form("", "", " ", ends=False, answer_in=_first_line),
    Form("_answer", "", "", ends=True, answer_in=str.strip),
    Form("_fill", f" {_BLANK}", f"{_BLANK} ", ends=True, answer_in=_blank_filled),
)


class PromptSource(Source):
    """The examples of a template's task as items, each with the places of its demonstrations."""

    def __init__(self, template: Template, form: Form) -> None:
        task = seqio.TaskRegistry.get(template.task)
        super().__init__(splits=task.source.splits)
        self.splits_without_labels = getattr(task.source, "splits_without_labels", frozenset())
        self._template, self._form, self._source = template, form, task.source

    def num_input_examples(self, split: str) -> int | None:
        """As many as the task has."""
        return self._source.num_input_examples(split)

    def pool(self) -> Pool:
        """What demonstrations are drawn from."""
        return _pool(self._template, task_files())

    def read(
        self, split: str, *, shuffle: bool, seed: int | None, shard: seqio.ShardInfo | None
    ) -> tf.data.Dataset:
        """The shard's items in their order.

        Raises:
            UserError: the template does not fit the examples, or there are too few to draw from.
        """
        del shuffle, seed
        rows = _rows(self._template, self._template.task, split, task_files())
        if shard is not None:
            rows = rows[shard.index :: shard.num_shards]
        config = few_shot()
        pool = self.pool() if config.k else None
        items = [self._template.item_of(fields) for fields in rows]
        columns = {
            prompts.ITEM: items,
            _PLACES: [pool.draw(item, config) if pool else [] for item in items],
            prompts.OPTIONS: [self._options(fields) for fields in rows],
            prompts.RIGHT: [self._template.right_of(fields) for fields in rows],
            "targets": [self._target(self._template.answer_of(fields)) for fields in rows],
            **{name: [fields[name] for fields in rows] for name in self._template.kept},
        }
        return tf.data.Dataset.from_tensor_slices({k: _column(v) for k, v in columns.items()})

    def _options(self, fields: Fields) -> list[str]:
        return [self._target(option) for option in self._template.options_of(fields)]

    def _target(self, answer: str) -> str:
        return self._form.before_answer + answer


@functools.lru_cache(maxsize=8)
def _rows(
    template: Template, task: str, split: str, folders: object, most: int | None = None
) -> Sequence[Fields]:
    """Prepared fields of the first `most` examples of a split, read from `folders`."""
    del folders
    source = seqio.TaskRegistry.get(task).source
    examples = _examples(source.get_dataset(split, shuffle=False))
    return [template.prepare(_texts(example)) for example in itertools.islice(examples, most)]


@functools.lru_cache(maxsize=8)
def _pool(template: Template, folders: object) -> Pool:
    task = template.demonstrations or template.task
    rows = _rows(template, task, "train", folders, MOST_DEMONSTRATIONS)
    items = [template.item_of(fields) for fields in rows]
    answers = [template.answer_of(fields) for fields in rows]
    return Pool(task, items, [f"{each} {answer}" for each, answer in zip(items, answers)])


def _examples(dataset: tf.data.Dataset) -> Iterator[Mapping[str, Any]]:
    """As NumPy values; where each feature is one value many are read at a time, which is faster."""
    specs = tf.nest.flatten(dataset.element_spec)
    if not all(isinstance(spec, tf.TensorSpec) and spec.shape.rank == 0 for spec in specs):
        yield from dataset.as_numpy_iterator()
        return
    for batch in dataset.batch(_AT_ONCE).as_numpy_iterator():
        for values in zip(*tf.nest.flatten(batch), strict=True):
            yield tf.nest.pack_sequence_as(batch, values)


def _texts(value: Any) -> Any:
    """Texts for bytes, without blanks around them."""
    if isinstance(value, Mapping):
        return {name: _texts(each) for name, each in value.items()}
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace").strip()
    return [_texts(each) for each in value] if isinstance(value, np.ndarray) else value


def _column(values: Sequence[Any]) -> tf.Tensor | tf.RaggedTensor:
    """One value, or a list of them, for each row."""
    if values and isinstance(values[0], list):
        flat = [each for value in values for each in value]
        kind = tf.string if any(isinstance(each, str) for each in flat) else tf.int32
        return tf.RaggedTensor.from_row_lengths(
            tf.constant(flat, kind, shape=(len(flat),)), [len(value) for value in values]
        )
    return tf.constant(values)


class BuildPrompt:
    """A preprocessor: as many demonstrations as fit, then the item, as `inputs`."""

    # SeqIO gives lengths to a dataclass by its fields, to all else by the names of its arguments.
    def __init__(self, source: PromptSource, template: Template, form: Form):
        self.source, self.template, self.form = source, template, form

    def __call__(
        self,
        dataset: tf.data.Dataset,
        sequence_length: Mapping[str, int] | None,
        output_features: Mapping[str, seqio.Feature],
    ) -> tf.data.Dataset:
        """Every example with the parts that `t5x_lite.data.prompts` names."""
        texts = tf.constant(self.source.pool().texts if few_shot().k else [""])
        limit = (sequence_length or {}).get("inputs", np.iinfo(np.int32).max)
        feature = output_features["inputs"]
        build = functools.partial(self._build, texts=texts, limit=limit, feature=feature)
        return dataset.map(
            tf.autograph.experimental.do_not_convert(build), num_parallel_calls=tf.data.AUTOTUNE
        )

    def _build(
        self, example: Example, *, texts: tf.Tensor, limit: int, feature: seqio.Feature
    ) -> Example:
        drawn = tf.gather(texts, example[_PLACES])
        item = example[prompts.ITEM]

        def length(count: tf.Tensor) -> tf.Tensor:
            ids = feature.vocabulary.encode_tf(self._prompt(drawn[:count], item))
            return tf.size(ids) + int(feature.add_eos)

        fitting = _most(length, tf.size(drawn), limit)
        others = {name: value for name, value in example.items() if name != _PLACES}
        return others | {
            "inputs": self._prompt(drawn[:fitting], item),
            prompts.SHOWN: drawn[:fitting],
            prompts.SEPARATOR: self.template.separator,
            prompts.DRAWN: tf.size(drawn),
            prompts.TOKENS: length(tf.constant(0)),
            prompts.NEUTRAL: self.template.neutral + self.form.behind_prompt,
        }

    def _prompt(self, shown: tf.Tensor, item: tf.Tensor) -> tf.Tensor:
        parts = tf.concat([shown, (item + self.form.behind_prompt)[None]], axis=0)
        return tf.strings.reduce_join(parts, separator=self.template.separator)


def _most(length: Callable[[tf.Tensor], tf.Tensor], count: tf.Tensor, limit: int) -> tf.Tensor:
    """The largest number up to `count` whose length is at most `limit`, by halves; else 0."""

    def halve(low: tf.Tensor, high: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # All of them first, which is the rule.
        middle = tf.where(high == count, high, (low + high + 1) // 2)
        fits = length(middle) <= limit
        return tf.where(fits, middle, low), tf.where(fits, high, middle - 1)

    low, _ = tf.while_loop(lambda low, high: low < high, halve, (tf.constant(0), count))
    return low


@dataclasses.dataclass(frozen=True)
class Answer:
    """The way back: a text to the place of the option that it is, -1 of none, or without options
    to the answer in it; then what the row's metrics compare.
    """

    template: Template
    form: Form

    def __call__(self, text: str, example: Mapping[str, Any], is_target: bool = False) -> Any:
        """As SeqIO's postprocessors are called. A target that is not known is None."""
        prompt = prompts.prompt_of(example)
        assert prompt is not None, "BuildPrompt makes such examples"
        answer = self.form.answer_in(text)
        if not prompt.options:
            return self.template.value(answer, example, is_target)
        if is_target:
            return self.template.value(prompt.right if prompt.right >= 0 else None, example, True)
        options = [self.form.answer_in(option) for option in prompt.options]
        place = options.index(answer) if answer in options else -1
        return self.template.value(place, example, False)


def add(template: Template) -> None:
    """Registers the three tasks of a row, of one's own as well."""
    for form in FORMS:
        source = PromptSource(template, form)
        seqio.TaskRegistry.add(
            f"few_shot_{template.name}{form.suffix}",
            source=source,
            preprocessors=[
                BuildPrompt(source, template, form),
                seqio.preprocessors.tokenize,
                seqio.preprocessors.append_eos_after_trim,
            ],
            output_features={
                "inputs": seqio.Feature(DefaultVocabulary(), add_eos=form.ends),
                "targets": seqio.Feature(DefaultVocabulary(), add_eos=False),
            },
            metric_fns=list(template.metric_fns),
            postprocess_fn=Answer(template, form),
        )


for _template in TEMPLATES:
    add(_template)
