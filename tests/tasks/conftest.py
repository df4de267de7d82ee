"""A vocabulary for tasks that need one, and the cache of docstrings in a folder of the session."""

import itertools

import pytest
import seqio
import tensorflow as tf

from t5x_lite.data import task_files
from t5x_lite.objectives import spans, texts
from t5x_lite.text import default_vocabulary
from t5x_lite.text.training import train_sentencepiece

# What makes ids: of T5's tasks, and of those for encoders by themselves.
TOKENIZE = (seqio.preprocessors.tokenize, texts.tokenize, spans.tokenize)


@pytest.fixture(scope="session")
def vocabulary_path(tmp_path_factory):
    from t5x_lite.tasks import emoji

    path = tmp_path_factory.mktemp("vocabulary") / "emoji.model"
    texts = [names[code].replace("_", " ") for names in emoji.load() for code in ("en", "de")]
    prompts = ["translate English to German: translate English to French: library docstring:"]
    train_sentencepiece(
        {"emoji": texts, "prompts": prompts * 50},
        path,
        vocab_size=300,
        report_progress=lambda _: None,
    )
    return path


@pytest.fixture
def vocabulary(vocabulary_path):
    """Sets it as the default of the process, for one test."""
    before = default_vocabulary._path
    default_vocabulary.set_default_vocabulary(vocabulary_path)
    yield vocabulary_path
    default_vocabulary.set_default_vocabulary(before)


@pytest.fixture
def formatted():
    """What a task makes of examples as TFDS has them, before it makes ids of them."""
    return _formatted


@pytest.fixture
def formatted_split():
    """The same of a split of the task's source."""
    return _formatted_split


def _formatted(task_name, *examples):
    dataset = tf.data.Dataset.from_tensors(examples[0])
    for example in examples[1:]:
        dataset = dataset.concatenate(tf.data.Dataset.from_tensors(example))
    return _format(seqio.TaskRegistry.get(task_name), dataset)


def _formatted_split(task_name, split):
    task = seqio.TaskRegistry.get(task_name)
    return _format(task, task.source.get_dataset(split, shuffle=False))


def _format(task, dataset):
    for preprocess in itertools.takewhile(lambda each: each not in TOKENIZE, task.preprocessors):
        dataset = preprocess(dataset)
    return [{k: _plain(v) for k, v in each.items()} for each in dataset.as_numpy_iterator()]


def _plain(value):
    if isinstance(value, bytes):
        return value.decode()
    return [_plain(each) for each in value.tolist()] if getattr(value, "ndim", 0) else value


@pytest.fixture
def read_from(monkeypatch):
    """Makes tasks read original files in these folders, for one test."""
    monkeypatch.setattr(task_files, "_folders", ())
    return lambda *folders: task_files.set_task_files(",".join(map(str, folders)))
