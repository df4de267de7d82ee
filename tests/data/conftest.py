"""Tasks of numbers: an example is told by its ids, so rows say which examples they hold."""

import functools

import numpy as np
import pytest
import seqio
import tensorflow as tf

from t5x_lite.features.config import SpecialTokens
from t5x_lite.text.byte_pair import BYTE_CHARACTERS, BytePairTokenizer

VOCABULARY = seqio.PassThroughVocabulary(size=1000, eos_id=1)


def add_task(name, examples, *, features=("inputs", "targets"), num_files=None, folder=None):
    """Registers a task of the given examples, each a dict of id lists, for one test session."""
    if num_files is None:
        source = seqio.FunctionDataSource(
            functools.partial(_in_memory, examples),
            splits=["train", "empty"],
            num_input_examples={"train": len(examples), "empty": 0},
        )
        preprocessors = []
    else:
        for index in range(num_files):
            lines = [" ".join(map(str, e[f])) for e in examples[index::num_files] for f in features]
            (folder / f"{name}-{index}.txt").write_text("\n".join(lines) + "\n")
        source = seqio.TextLineDataSource({"train": str(folder / f"{name}-*.txt")})
        preprocessors = [_parse]
    seqio.TaskRegistry.add(
        name,
        source=source,
        preprocessors=preprocessors,
        output_features={f: seqio.Feature(VOCABULARY, add_eos=True) for f in features},
    )


def _in_memory(examples, split, shuffle_files):
    signature = {name: tf.TensorSpec([None], tf.int32) for name in examples[0]}
    dataset = tf.data.Dataset.from_generator(lambda: iter(examples), output_signature=signature)
    return dataset if split == "train" else dataset.take(0)


def _parse(dataset):
    return dataset.map(
        lambda line: {"targets": tf.strings.to_number(tf.strings.split([line]).values, tf.int32)}
    )


def pairs(count, *, first_id=10, seed=0):
    """`count` examples whose inputs start with an id of their own."""
    generator = np.random.default_rng(seed)
    return [
        {
            "inputs": [first_id + i, *generator.integers(2, 9, generator.integers(0, 4)), 1],
            "targets": [*generator.integers(2, 9, generator.integers(1, 4)), 1],
        }
        for i in range(count)
    ]


@pytest.fixture(scope="session", autouse=True)
def tasks(tmp_path_factory):
    """numbers: 90 pairs; more_numbers: 60; few: 3; lines: 40 texts in 2 files; a mixture 2 : 1."""
    add_task("numbers", pairs(90))
    add_task("more_numbers", pairs(60, first_id=500))
    add_task("few", pairs(3))
    texts = [{"targets": [200 + i, 5, 1]} for i in range(40)]
    add_task(
        "lines", texts, features=("targets",), num_files=2, folder=tmp_path_factory.mktemp("lines")
    )
    seqio.MixtureRegistry.add("two_to_one", [("numbers", 2.0), ("more_numbers", 1.0)])
    yield
    for name in ("numbers", "more_numbers", "few", "lines"):
        seqio.TaskRegistry.remove(name)
    seqio.MixtureRegistry.remove("two_to_one")


@pytest.fixture(scope="session")
def bpe_folder(tmp_path_factory):
    """A byte-level BPE that merges nothing, with three sentinels."""
    pieces = {character: i for i, character in enumerate([*BYTE_CHARACTERS, "<|endoftext|>"])}
    special = SpecialTokens(start=256, end=256, unknown=None)
    folder = tmp_path_factory.mktemp("bpe")
    for name, content in BytePairTokenizer(pieces, [], special, extra_ids=3).files().items():
        (folder / name).write_bytes(content)
    return folder
