"""Text to packed batches: our pipeline, and SeqIO's with T5's own preprocessors.

Both read C4 by TFDS, tokenize, join 128 documents, corrupt spans, shuffle, pack and batch. A token
is one that is not padding, of inputs or targets.
"""

import functools
import importlib.util
import pathlib
import sys
import time
import types
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import seqio
import tensorflow as tf

from benchmarks.speed.arm import SECONDS, Numbers, Prepared
from benchmarks.speed.settings import Settings
from t5x_lite.data.config import DatasetConfig
from t5x_lite.data.pipeline import make_batches
from t5x_lite.errors import UserError
from t5x_lite.features.layouts import Layout, ModelFeatures
from t5x_lite.tasks import c4  # noqa: F401 - it registers the task
from t5x_lite.text.default_vocabulary import set_default_vocabulary

_TASK = "c4_v310_span_corruption"
# After two batches, which fill buffers.
_SECONDS, _FILLING = 8.0, 2
_MILLION = 1e6
Batches = Iterator[Mapping[str, np.ndarray]]


def ours(settings: Settings) -> Prepared:
    """What `t5x_lite train` reads."""
    set_default_vocabulary(_given(settings, "vocabulary"))
    seqio.set_tfds_data_dir_override(_given(settings, "tfds_data_dir"))
    dataset = DatasetConfig(
        mixture_or_task_name=_TASK,
        split="train",
        task_feature_lengths=_lengths(settings),
        batch_size=settings.batch,
        seed=0,
    )
    make = functools.partial(make_batches, dataset, ModelFeatures(Layout.ENCODER_DECODER))
    return Prepared(lambda: _numbers(make))


def seqio_with_t5(settings: Settings) -> Prepared:
    """SeqIO's pipeline of T5's task c4_v220_span_corruption, with the text of 3.1.0."""
    seqio.set_tfds_data_dir_override(_given(settings, "tfds_data_dir"))
    vocabulary = seqio.SentencePieceVocabulary(_given(settings, "vocabulary"), extra_ids=100)
    feature = seqio.Feature(vocabulary=vocabulary, add_eos=True)
    preprocessors = _preprocessors(pathlib.Path(_given(settings, "t5")))
    rekey = functools.partial(
        seqio.preprocessors.rekey, key_map={"inputs": None, "targets": "text"}
    )
    task = seqio.Task(
        "peer",
        source=seqio.TfdsDataSource(tfds_name="c4/en:3.1.0", read_only=True),
        preprocessors=[
            rekey,
            seqio.preprocessors.tokenize,
            seqio.CacheDatasetPlaceholder(),
            preprocessors.span_corruption,
            seqio.preprocessors.append_eos_after_trim,
        ],
        output_features={"inputs": feature, "targets": feature},
    )
    return Prepared(lambda: _numbers(lambda: _peer_batches(task, settings)))


def _peer_batches(task: seqio.Task, settings: Settings) -> Batches:
    lengths = _lengths(settings)
    dataset = task.get_dataset(lengths, split="train", shuffle=True, seed=0, num_epochs=None)
    dataset = seqio.EncDecFeatureConverter(pack=True)(dataset, lengths)
    dataset = dataset.batch(settings.batch, drop_remainder=True)
    return dataset.prefetch(tf.data.AUTOTUNE).as_numpy_iterator()


def _preprocessors(checkout: pathlib.Path) -> types.ModuleType:
    """t5/data/preprocessors.py of a checkout, as it is: importing all of `t5` needs packages that
    this does not. It imports babel, which it uses for the names of languages only, so an empty
    module of that name stands in where babel is not installed.
    """
    path = checkout / "t5" / "data" / "preprocessors.py"
    if not path.is_file():
        raise UserError(f"{path} does not exist: --t5 must be a checkout of T5.")
    if importlib.util.find_spec("babel") is None:
        sys.modules["babel"] = types.ModuleType("babel")
    spec = importlib.util.spec_from_file_location("t5_preprocessors", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _numbers(make: Callable[[], Batches]) -> Numbers:
    """Seconds for a million tokens, of a clock and of processors, from a new pipeline."""
    batches = make()
    for _ in range(_FILLING):
        next(batches)
    began, cpu_began, tokens = time.monotonic(), time.process_time(), 0
    while time.monotonic() - began < _SECONDS:
        batch = next(batches)
        tokens += int(np.count_nonzero(batch["encoder_input_tokens"]))
        tokens += int(np.count_nonzero(batch["decoder_target_tokens"]))
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu_began
    return {SECONDS: seconds / tokens * _MILLION, "cpu_seconds": cpu / tokens * _MILLION}


def _lengths(settings: Settings) -> dict[str, int]:
    return {"inputs": settings.inputs, "targets": settings.targets}


def _given(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    if value is None:
        raise UserError(
            f"--{name} is not given; input needs --tfds_data_dir=DIR, which has c4/en/3.1.0, "
            "--vocabulary=FILE, a SentencePiece model, and beside SeqIO --t5=DIR, a checkout of "
            "google-research/text-to-text-transfer-transformer."
        )
    return value
