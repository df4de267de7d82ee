"""Tasks in a module that workers import, as users' tasks are."""

import functools
import importlib
import sys

import pytest
import seqio

from t5x_lite.data.caching import cache_tasks

TASKS = '''
"""Lines of numbers: kinds of features that caches hold, and randomness before the placeholder."""

import pathlib
import time

from t5x_lite.data.silence import silence_tensorflow

silence_tensorflow()

import seqio
import tensorflow as tf

from t5x_lite.text.seqio_vocabulary import DefaultVocabulary

FOLDER = pathlib.Path(__file__).parent
NUMBERS = {"targets": seqio.Feature(seqio.PassThroughVocabulary(1000, eos_id=1))}
FILES = seqio.TextLineDataSource(
    {"train": str(FOLDER / "train-*.txt"), "validation": str(FOLDER / "validation.txt")}
)


def in_memory(split, shuffle_files):
    numbers = tf.data.Dataset.range(40).map(lambda i: tf.strings.as_string(i + 10))
    return numbers if split == "train" else numbers.take(0)


@seqio.map_over_dataset
def parse(line):
    words = tf.strings.split(line)
    targets = tf.concat([tf.strings.to_number(words, tf.int32), [1, 0]], 0)
    return {
        "targets": targets,
        "line": line,
        "letters": tf.strings.unicode_split(words, "UTF-8"),
        "pairs": tf.stack([targets, -targets], 1),
        "is_long": tf.size(words) > 3,
        "number": tf.size(words, tf.int64),
        "share": tf.cast(1 / tf.size(words), tf.float32),
    }


@seqio.map_over_dataset(num_seeds=1)
def add_noise(example, seed):
    return {**example, "noise": tf.random.stateless_uniform([2], seed)}


def shuffle(dataset):
    return dataset.shuffle(20)


def add_state(dataset):
    return dataset.map(
        lambda e: {**e, "drawn": tf.random.uniform([])}, num_parallel_calls=tf.data.AUTOTUNE
    )


def only_ids(dataset):
    return dataset.map(lambda e: {"targets": e["targets"]})


@seqio.map_over_dataset
def slowly(example):
    targets = example["targets"]
    wait = lambda ids: (time.sleep(0.02), ids)[1]
    ids = tf.numpy_function(wait, [targets], tf.int32, stateful=False)
    return {**example, "targets": tf.ensure_shape(ids, [None])}


def add(name, source, *before, features=NUMBERS):
    placeholder = seqio.CacheDatasetPlaceholder()
    steps = [parse, *before, placeholder, only_ids]
    seqio.TaskRegistry.add(name, source, preprocessors=steps, output_features=features)


add("plain", FILES)
add("random", FILES, shuffle, add_noise, add_state)
add("of_function", seqio.FunctionDataSource(in_memory, ["train", "empty"]), add_noise)
add("slow", FILES, slowly)
add("default", FILES, features={"targets": seqio.Feature(DefaultVocabulary())})
add("too_wide", FILES, lambda d: d.map(lambda e: {"targets": tf.cast(e["targets"], tf.float64)}))
seqio.TaskRegistry.add(
    "without", source=FILES, preprocessors=[parse, only_ids], output_features=NUMBERS
)
seqio.MixtureRegistry.add("both", ["plain", "random"], default_rate=1)
'''


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    """The folder with the module and its data: five files of 13 lines."""
    folder = tmp_path_factory.mktemp("tasks")
    (folder / "tasks_to_cache.py").write_text(TASKS)
    for name, first in {"train-0": 10, "train-1": 23, "train-2": 36, "validation": 200}.items():
        lines = [" ".join(map(str, range(i, i + i % 5 + 1))) for i in range(first, first + 13)]
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    before = set(seqio.TaskRegistry.names()), set(seqio.MixtureRegistry.names())  # else views
    sys.path.insert(0, str(folder))
    importlib.import_module("tasks_to_cache")
    yield folder
    sys.path.remove(str(folder))
    sys.modules.pop("tasks_to_cache")
    for registry, names in zip((seqio.TaskRegistry, seqio.MixtureRegistry), before, strict=True):
        for name in registry.names() - names:
            registry.remove(name)


@pytest.fixture(scope="module")
def cache(tasks):
    """(names, folder, **settings) -> caches them, with one worker if not said otherwise."""
    register = functools.partial(importlib.import_module, "tasks_to_cache")

    def run(names, folder, num_workers=1, **settings):
        cache_tasks(names, str(folder), register=register, num_workers=num_workers, **settings)

    return run


@pytest.fixture(scope="module")
def plain_cache(cache, tmp_path_factory):
    """A folder in which the task `plain` is cached, which a file only looks at."""
    folder = tmp_path_factory.mktemp("cached")
    cache(["plain"], folder, num_shards=2)
    return folder
