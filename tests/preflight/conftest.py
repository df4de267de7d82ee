"""Tasks of bytes, good and bad, and a way to run `t5x_lite check` and see all of its findings."""

import os
import re

import pytest
import seqio

from t5x_lite import cli, config
from t5x_lite.preflight import first_loss
from t5x_lite.preflight.findings import Kind
from t5x_lite.training.config import TrainConfig

WORDS = [f"{a}{b}{c}" for a in "abcde" for b in "fghij" for c in "klmno"]
BYTES = seqio.ByteVocabulary()


def _words(split, shuffle_files, seed=None):
    import tensorflow as tf

    del split, shuffle_files, seed
    return tf.data.Dataset.from_tensor_slices({"text": WORDS})


def _generated(split, shuffle_files, seed=None):
    import tensorflow as tf

    del split, shuffle_files, seed
    signature = {"text": tf.TensorSpec([], tf.string)}
    return tf.data.Dataset.from_generator(
        lambda: ({"text": word} for word in WORDS), output_signature=signature
    )


def _only_to_train(split, shuffle_files, seed=None):
    return _words(split, shuffle_files, seed).take(-1 if split == "train" else 0)


def _as_examples(dataset):
    return dataset.map(lambda example: {"inputs": example["text"], "targets": example["text"]})


def _as_nothing(dataset):
    return dataset.map(lambda example: {"inputs": example["text"], "targets": ""})


def _accuracy(targets: list[str], predictions: list[str]) -> dict[str, float]:
    return {"accuracy": float(targets == predictions)}


def _broken(dataset):
    return dataset.map(lambda example: {"inputs": example["txet"]})


def _add(name, source=_words, make=_as_examples, *, tokenize=True, vocabulary=BYTES):
    ids = [seqio.preprocessors.tokenize, seqio.preprocessors.append_eos] if tokenize else []
    seqio.TaskRegistry.add(
        name,
        source=seqio.FunctionDataSource(source, splits=("train", "validation")),
        preprocessors=[make, *ids],
        output_features={
            "inputs": seqio.Feature(vocabulary),
            "targets": seqio.Feature(vocabulary, add_eos=make is not _as_nothing),
        },
        metric_fns=[_accuracy],
    )


if "check_words" not in seqio.TaskRegistry.names():
    _add("check_words")
    _add("check_generated", _generated)
    _add("check_broken", make=_broken)
    _add("check_empty", make=_as_nothing)
    _add("check_codepoints", vocabulary=seqio.FullCodepointVocabulary())
    _add("check_train_only", _only_to_train)
    seqio.MixtureRegistry.add(
        "check_some_held_out", [("check_train_only", 1.0), ("check_words", 1.0)]
    )
    seqio.MixtureRegistry.add("check_both", [("check_words", 1.0), ("check_generated", 1.0)])


@pytest.fixture
def check(capsys):
    """Words of a command line -> exit status, findings as (kind, subject, text), last line."""

    def run(*words):
        capsys.readouterr()
        status = cli.main(["check", "--cpu_devices=8", *words])
        findings = []
        lines = capsys.readouterr().out.splitlines()
        for line in lines[:-1]:
            if found := re.match(r"(ok|note|FIX|-) +(.{18}) (.*)", line):
                findings.append((found[1], found[2].strip(), found[3]))
            else:
                kind, subject, text = findings[-1]
                findings[-1] = (kind, subject, f"{text}\n{line.strip()}")
        return status, findings, lines[-1]

    return run


@pytest.fixture
def train_words(tmp_path):
    """The command line of a training job that is sound."""
    return [
        "--gin_file=models/t5_1_1/tiny.gin",
        "--gin_file=recipes/pretrain.gin",
        "--gin.MIXTURE_OR_TASK_NAME=check_words",
        f"--gin.MODEL_DIR={tmp_path / 'run'}",
        "--gin.TASK_FEATURE_LENGTHS={'inputs': 16, 'targets': 16}",
        "--gin.TRAIN_STEPS=100",
        "--gin.VOCAB_SIZE=384",
        "--gin.NUM_PARTITIONS=2",
        "--gin.BATCH_SIZE=8",
    ]


@pytest.fixture
def check_train(check, train_words, monkeypatch):
    """The same for a training job that is sound but for the words added; its first loss, which
    takes longer than all the rest, is not computed.
    """
    monkeypatch.setattr(first_loss, "check", lambda job: [(Kind.OK, "not computed")])
    return lambda *words: check(*train_words, *words)


@pytest.fixture
def resolve(train_words):
    """Words added to that command line -> its TrainConfig."""

    def make(*words):
        files, overrides = [], []
        for flag, _, value in (word.partition("=") for word in (*train_words, *words)):
            if flag == "--gin_file":
                files.append(value)
            elif flag.startswith("--gin."):
                overrides.append((flag, f"{flag.removeprefix('--gin.')}={value}"))
        return config.resolve(TrainConfig, files, overrides=overrides).config

    return make


@pytest.fixture
def contents(tmp_path):
    """Gives all that lies in tmp_path, with times."""

    def look():
        return {
            (entry.path, entry.stat().st_mtime_ns)
            for root, *_ in os.walk(tmp_path)
            for entry in os.scandir(root)
        }

    return look
