"""Ranges and the card of an encoder that tells classes, without training."""

import dataclasses

import jax
import numpy as np
import pytest
import seqio
import tensorflow as tf

from t5x_lite.compression.calibration_config import CalibrationConfig
from t5x_lite.data.config import DatasetConfig
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.errors import UserError
from t5x_lite.evaluation.config import EvalConfig
from t5x_lite.exporting import quality
from t5x_lite.exporting.calibrate import calibrated
from t5x_lite.exporting.source import Source
from t5x_lite.features.layouts import Layout
from t5x_lite.features.outputs import Wanted
from t5x_lite.metrics.accuracy import accuracy
from t5x_lite.model import transformer
from t5x_lite.model.choices import HeadKind
from t5x_lite.model.config import HeadConfig
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.testing import tiny_model
from t5x_lite.text.label_vocabulary import LabelVocabulary

TASK, LABELS, LENGTH, COUNT = "exported_classes", ("cold", "mild", "hot"), 12, 10


def examples():
    rng = np.random.default_rng(0)
    return {
        "inputs": rng.integers(3, 259, (COUNT, LENGTH)).astype(np.int32),
        "classes": (np.arange(COUNT, dtype=np.int32) % 3)[:, None],
    }


@pytest.fixture(scope="module")
def job():
    seqio.TaskRegistry.add(
        TASK,
        source=seqio.FunctionDataSource(
            lambda split, shuffle_files, seed=None: tf.data.Dataset.from_tensor_slices(examples()),
            splits=("train", "validation"),
        ),
        preprocessors=[],
        output_features={
            "inputs": seqio.Feature(seqio.ByteVocabulary(), add_eos=False),
            "classes": seqio.Feature(LabelVocabulary(LABELS), add_eos=False),
        },
        metric_fns=[accuracy],
    )
    yield EvalConfig(
        checkpoint_path="runs/one",
        output_dir="-",
        decoding=DecodingConfig(),
        partitioning=PartitioningConfig(),
        dataset=DatasetConfig(
            mixture_or_task_name=TASK, task_feature_lengths=None, split="validation", batch_size=8
        ),
    )
    seqio.TaskRegistry.remove(TASK)


@pytest.fixture(scope="module")
def source(draw):
    head = HeadConfig(kind=HeadKind.CLASSES, num_classes=3, pooled=True)
    model = dataclasses.replace(
        tiny_model(384, Layout.ENCODER), heads=(head,), pooler=True, scale_logits=False
    )
    return Source(model, draw(model), 7, None, None)


def test_an_encoder_is_rounded_and_measured(job, source):
    """Its loss is that of its classes, computed by hand; ranges are those of other examples, and
    the pooler has one.
    """
    rounded = calibrated(source, CalibrationConfig(num_examples=6), job)
    small = rounded.quantized()
    assert small.parameters["pooler"]["dense"]["kernel"].dtype == np.int8
    rows = quality.measure(job, (source.model, source.parameters), (small.model, small.parameters))
    assert [row.name for row in rows] == ["loss, nats per example", "accuracy"]
    assert [row.most for row in rows] == [quality.MOST_NATS, None]
    told = examples()
    batch = {
        "encoder_input_tokens": told["inputs"],
        "encoder_segment_ids": np.ones_like(told["inputs"]),
    }
    for own, value in ((source, rows[0].float32), (small, rows[0].int8)):
        outputs = transformer.apply(own.model, own.parameters, batch, wanted=Wanted(("classes",)))
        log_probs = jax.nn.log_softmax(outputs.heads["classes"].all()[:, 0])
        right = np.take_along_axis(np.asarray(log_probs), told["classes"], axis=1)
        assert value == pytest.approx(-float(right.mean()), rel=1e-4)
    assert rows[0].worse != 0
    page = quality.card(rows, job, small.model, step=7, sizes=(4, 1), accepted=True)
    assert "All kernels of layers and the vectors of tokens in int8" in page


def test_examples_of_the_card_are_warned_of(job, source, capsys):
    """A part of its split is of it as well."""
    for split, warned in (("train", False), ("validation[:4]", True)):
        calibrated(source, CalibrationConfig(split=split, num_examples=2), job)
        assert ("--calibration_split=..." in capsys.readouterr().out) is warned


def test_what_has_ranges_is_not_given_others(job, source):
    rounded = calibrated(source, CalibrationConfig(num_examples=6), job)
    with pytest.raises(UserError, match="--activations=int8.*Leave the flag out"):
        calibrated(rounded, CalibrationConfig(), job)
    unknown = dataclasses.replace(
        source,
        model=rounded.model,
        parameters=jax.tree.map(
            lambda shape: np.zeros(shape.shape, shape.dtype),
            transformer.abstract_parameters(rounded.model),
        ),
    )
    with pytest.raises(UserError, match="ranges of what kernels read are not known"):
        unknown.quantized()


def test_a_range_is_the_mean_of_what_batches_show(job, source):
    """One batch of all that they hold shows wider ranges."""
    ends = {}
    for size in (8, 16):
        own = dataclasses.replace(job, dataset=dataclasses.replace(job.dataset, batch_size=size))
        found = calibrated(source, CalibrationConfig(num_examples=COUNT), own)
        ends[size] = found.parameters["encoder"]["layers"]["mlp"]["wo"]["input_range"]
    assert (ends[8][:, 1] < ends[16][:, 1]).all() and (ends[8] != 0).any()
