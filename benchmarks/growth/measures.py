"""The numbers of one point of a curve, in a process of its own.

The model is T5 v1.1 with d_model 256, 2 + 2 layers and 4,096 tokens, where nothing else is said.
"""

import contextlib
import dataclasses
import functools
import pathlib
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from t5x_lite import config

Numbers = Mapping[str, float]

REPEATS = 5
_GIGABYTE, _MEGABYTE, _KILOBYTE = 1e9, 1e6, 1024
_VOCABULARY = 4096
_FILES = ("models/t5_1_1/small.gin",)


def train(*, batch: int = 4, length: int = 128, layers: int = 2, devices: int = 1) -> Numbers:
    """A training step on full rows."""
    from t5x_lite.partitioning.devices import simulate_cpu_devices

    simulate_cpu_devices(devices)
    import jax

    from t5x_lite.partitioning.partitioner import make_partitioner
    from t5x_lite.training.config import TrainConfig
    from t5x_lite.training.state import make_factory
    from t5x_lite.training.step import make_step_of

    values = _model(layers) | {
        "MODEL_DIR": "not_written",
        "MIXTURE_OR_TASK_NAME": "not_looked_up",
        "TASK_FEATURE_LENGTHS": {"inputs": length, "targets": length},
        "TRAIN_STEPS": 1_000_000,
        "BATCH_SIZE": batch,
        "LEARNING_RATE_FACTORS": "constant",
        "LEARNING_RATE": 0.001,
    }
    job = _resolve(TrainConfig, (*_FILES, "recipes/pretrain.gin"), values)
    factory = make_factory(job, make_partitioner(job.partitioning))
    state, step = factory.initialize(0), make_step_of(job, factory, initial_step=0)
    rows = factory.partitioner.global_batch(_rows(batch, length))
    before = _forget_peak()

    def advance() -> None:
        nonlocal state
        state, metrics = step(state, rows)
        jax.device_get(metrics)

    first, seconds = _seconds(advance), _median(advance)
    return {
        "seconds": seconds,
        "compile_seconds": first - seconds,
        "memory_gb": (_peak_bytes() - before) / _GIGABYTE,
    }


def decode(*, tokens: int = 64, beams: int | None = None) -> Numbers:
    """Four answers of a model that never ends one."""
    import jax

    from t5x_lite.decoding.config import DecodingConfig
    from t5x_lite.decoding.strategies import BeamConfig
    from t5x_lite.inference.engine import Engine
    from t5x_lite.inference.ensemble import Ensemble
    from t5x_lite.model import transformer
    from t5x_lite.model.config import ModelConfig
    from t5x_lite.partitioning.config import PartitioningConfig
    from t5x_lite.partitioning.partitioner import make_partitioner

    model = _resolve(ModelConfig, _FILES, _model(2))
    parameters = transformer.init_parameters(model, jax.random.key(0))
    end = model.special.end
    kernel = parameters["decoder"]["logits_dense"]["kernel"]
    # A logit of 0 is never the largest of thousands that are random.
    parameters["decoder"]["logits_dense"]["kernel"] = kernel.at[:, end].set(0.0)
    engine = Engine(Ensemble((model,)), [parameters], make_partitioner(PartitioningConfig()))
    decoding = DecodingConfig(max_decode_length=tokens)
    if beams is not None:
        decoding = dataclasses.replace(decoding, strategy=BeamConfig(beam_size=beams))
    prompts = _rows(4, 128)["encoder_input_tokens"].tolist()
    generate = functools.partial(engine.generate, prompts, decoding, batch_size=4)
    generate()
    return {"seconds": _median(generate)}


def mixture(*, tasks: int) -> Numbers:
    """Packed batches of a mixture of so many tasks of equal share."""
    began = time.perf_counter()
    with _text(tasks) as batches:
        next(batches)
        first = time.perf_counter() - began
        for _ in range(9):
            next(batches)
        seconds = _median(lambda: [next(batches) for _ in range(20)]) / 20
        position = sum(map(len, batches.position(10).values()))
    return {"seconds": seconds, "first_seconds": first, "position_mb": position / _MEGABYTE}


def resume(*, steps: int) -> Numbers:
    """From a saved position of a run that made so many steps to the next batch."""
    from etils import epath

    with tempfile.TemporaryDirectory() as folder:
        with _text(4) as batches:
            for _ in range(steps):
                next(batches)
            for name, content in batches.position(steps).items():
                (pathlib.Path(folder) / name).write_bytes(content)
        began = time.perf_counter()
        with _text(4, restore_from=epath.Path(folder), batches_done=steps) as batches:
            next(batches)
            return {"seconds": time.perf_counter() - began}


def checkpoint(*, megabytes: int) -> Numbers:
    """A state of 16 equal tensors, saved and restored."""
    import jax

    from t5x_lite.checkpoints import manager, restoring
    from t5x_lite.checkpoints.config import SaveCheckpointConfig

    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    leaf = jax.ShapeDtypeStruct((megabytes, 1024, 16), np.float32, sharding=here)
    abstract = {"parameters": {f"kernel_{number}": leaf for number in range(16)}}
    with tempfile.TemporaryDirectory() as folder:
        state = jax.tree.map(lambda each: jax.device_put(np.ones(each.shape, each.dtype)), abstract)
        checkpoints = manager.Checkpoints(folder, SaveCheckpointConfig(keep=1))
        numbers = iter(range(1, 2 + REPEATS))

        def save() -> None:
            checkpoints.save(next(numbers), state, manager.Description(""))
            checkpoints.wait()

        save()
        saving = _median(save)
        checkpoints.close()
        del state
        found, before = manager.find(folder), _forget_peak()
        restoring_seconds = _median(
            lambda: jax.block_until_ready(restoring.restore(found, abstract))
        )
    return {
        "seconds": saving,
        "restore_seconds": restoring_seconds,
        "memory_gb": (_peak_bytes() - before) / _GIGABYTE,
    }


def _model(layers: int) -> dict[str, Any]:
    return {
        "EMBED_DIM": 256,
        "MLP_DIM": 512,
        "NUM_HEADS": 4,
        "NUM_ENCODER_LAYERS": layers,
        "NUM_DECODER_LAYERS": layers,
        "VOCAB_SIZE": _VOCABULARY,
        "DROPOUT_RATE": 0.0,
    }


def _resolve(what: Any, files: Sequence[str], values: Mapping[str, Any]) -> Any:
    overrides = [("--gin", f"{name}={value}") for name, value in values.items()]
    return config.resolve(what, files, overrides=overrides).config


def _rows(batch: int, length: int) -> dict[str, np.ndarray]:
    """Full of one example each."""
    tokens = np.random.default_rng(0).integers(3, _VOCABULARY, (batch, length), np.int32)
    ones = np.ones_like(tokens)
    places = np.tile(np.arange(length, dtype=np.int32), (batch, 1))
    return {
        "encoder_input_tokens": tokens,
        "decoder_input_tokens": np.pad(tokens[:, :-1], ((0, 0), (1, 0))),
        "decoder_target_tokens": tokens,
        "decoder_loss_weights": ones,
        **dict.fromkeys(("encoder_segment_ids", "decoder_segment_ids"), ones),
        **dict.fromkeys(("encoder_positions", "decoder_positions"), places),
    }


@contextlib.contextmanager
def _text(tasks: int, **where: Any) -> Iterator[Any]:
    """Batches of 32 rows of a mixture of tasks, each of texts of its own."""
    import seqio

    from t5x_lite.data.batches import Batches
    from t5x_lite.data.config import DatasetConfig
    from t5x_lite.features.layouts import Layout, ModelFeatures
    from t5x_lite.objectives import documents, table
    from t5x_lite.text.byte_tokenizer import ByteTokenizer
    from t5x_lite.text.default_vocabulary import set_default_vocabulary
    from t5x_lite.text.seqio_vocabulary import DefaultVocabulary

    folder = pathlib.Path(tempfile.mkdtemp())
    for name, content in ByteTokenizer(100).files().items():
        (folder / name).write_bytes(content)
    set_default_vocabulary(folder)
    feature = seqio.Feature(DefaultVocabulary(), add_eos=True)
    names = [f"growth_{number}" for number in range(tasks)]
    for number, name in enumerate(names):
        if name not in seqio.TaskRegistry.names():
            seqio.TaskRegistry.add(
                name,
                seqio.FunctionDataSource(functools.partial(_texts, number), splits=("train",)),
                preprocessors=[
                    documents.tokenize,
                    table.preprocessor("span_corruption"),
                    seqio.preprocessors.append_eos_after_trim,
                ],
                output_features={"inputs": feature, "targets": feature},
            )
    mixture_name = f"growth_{tasks}_tasks"
    if mixture_name not in seqio.MixtureRegistry.names():
        seqio.MixtureRegistry.add(mixture_name, names, default_rate=1.0)
    dataset = DatasetConfig(
        mixture_or_task_name=mixture_name,
        split="train",
        task_feature_lengths={"inputs": 128, "targets": 64},
        batch_size=32,
        seed=0,
    )
    batches = Batches(dataset, ModelFeatures(Layout.ENCODER_DECODER), **where)
    try:
        yield batches
    finally:
        batches.close()


def _texts(number: int, split: str, shuffle_files: bool, seed: int | None = None) -> Any:
    """2,000 texts of a few hundred bytes, of words that are drawn by a seed."""
    import tensorflow as tf

    del split, shuffle_files, seed
    rng = np.random.default_rng(number)
    words = np.array(["".join(rng.choice(list("etaoin"), 5)) for _ in range(500)])
    texts = [" ".join(rng.choice(words, rng.integers(20, 80))) for _ in range(2000)]
    return tf.data.Dataset.from_tensor_slices({"targets": texts})


def _median(work: Callable[[], object]) -> float:
    return statistics.median(_seconds(work) for _ in range(REPEATS))


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _forget_peak() -> int:
    """Bytes of this process now; the most that it held so far is forgotten, as Linux can."""
    pathlib.Path("/proc/self/clear_refs").write_text("5")
    return _peak_bytes()


def _peak_bytes() -> int:
    status = pathlib.Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None, "Linux tells it of every process that has memory"
    return _KILOBYTE * int(found.group(1))
