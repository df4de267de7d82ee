"""Text to packed batches per second: our pipeline and SeqIO's with T5's own preprocessors.

    python benchmarks/input_throughput.py --t5=DIR --tfds_data_dir=DIR --vocabulary=FILE

Both read C4 by TFDS, tokenize, join 128 documents, corrupt spans, shuffle, pack to 512/114 and
batch 128 rows, in one process and in turns; a token is one that is not padding, of inputs or
targets. DIR of --t5 is a checkout of google-research/text-to-text-transfer-transformer, of which
only t5/data/preprocessors.py is loaded: importing all of `t5` needs packages that this does not.
"""

import argparse
import functools
import importlib.metadata
import importlib.util
import os
import pathlib
import statistics
import sys
import time
import types
from collections.abc import Callable, Iterator

import numpy as np
import seqio
import tensorflow as tf

from t5x_lite.data.config import DatasetConfig
from t5x_lite.data.pipeline import make_batches
from t5x_lite.features.layouts import Layout, ModelFeatures
from t5x_lite.tasks import c4  # noqa: F401 - it registers the task
from t5x_lite.text.default_vocabulary import set_default_vocabulary

LENGTHS = {"inputs": 512, "targets": 114}
BATCH_SIZE = 128
TASK = "c4_v310_span_corruption"
Batches = Iterator[dict[str, np.ndarray]]


def load_preprocessors(checkout: pathlib.Path) -> types.ModuleType:
    """t5/data/preprocessors.py of a checkout, as it is.

    It imports babel, which it uses for the names of languages only, so an empty module of that name
    stands in where babel is not installed.
    """
    path = checkout / "t5" / "data" / "preprocessors.py"
    if not path.is_file():
        raise SystemExit(f"{path} does not exist: --t5 must be a checkout of T5.")
    if importlib.util.find_spec("babel") is None:
        sys.modules["babel"] = types.ModuleType("babel")
    spec = importlib.util.spec_from_file_location("t5_preprocessors", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def peer_batches(preprocessors: types.ModuleType, vocabulary: seqio.Vocabulary) -> Batches:
    """SeqIO's pipeline of T5's task c4_v220_span_corruption, with the text of 3.1.0."""
    feature = seqio.Feature(vocabulary=vocabulary, add_eos=True)
    task = seqio.Task(
        "peer",
        source=seqio.TfdsDataSource(tfds_name="c4/en:3.1.0", read_only=True),
        preprocessors=[
            functools.partial(
                seqio.preprocessors.rekey, key_map={"inputs": None, "targets": "text"}
            ),
            seqio.preprocessors.tokenize,
            seqio.CacheDatasetPlaceholder(),
            preprocessors.span_corruption,
            seqio.preprocessors.append_eos_after_trim,
        ],
        output_features={"inputs": feature, "targets": feature},
    )
    dataset = task.get_dataset(LENGTHS, split="train", shuffle=True, seed=0, num_epochs=None)
    dataset = seqio.EncDecFeatureConverter(pack=True)(dataset, LENGTHS)
    dataset = dataset.batch(BATCH_SIZE, drop_remainder=True)
    return dataset.prefetch(tf.data.AUTOTUNE).as_numpy_iterator()


def our_batches() -> Batches:
    """What `t5x_lite train` reads."""
    config = DatasetConfig(
        mixture_or_task_name=TASK,
        split="train",
        task_feature_lengths=LENGTHS,
        batch_size=BATCH_SIZE,
        seed=0,
    )
    return make_batches(config, ModelFeatures(Layout.ENCODER_DECODER))


def rates(batches: Batches, *, seconds: float) -> tuple[float, float]:
    """Tokens a second, and a second of CPU time, after two batches that fill buffers."""
    for _ in range(2):
        next(batches)
    began, cpu_began = time.monotonic(), time.process_time()
    tokens = 0
    while time.monotonic() - began < seconds:
        batch = next(batches)
        tokens += np.count_nonzero(batch["encoder_input_tokens"])
        tokens += np.count_nonzero(batch["decoder_target_tokens"])
    return tokens / (time.monotonic() - began), tokens / (time.process_time() - cpu_began)


def report(unit: str, found: dict[str, list[float]]) -> None:
    """Medians, ranges and the ratio of ours to the peer's."""
    for name, values in found.items():
        spread = f"{min(values) / 1e6:.3f} to {max(values) / 1e6:.3f}"
        print(f"{name:30} median {statistics.median(values) / 1e6:.3f} M {unit} ({spread})")
    ours, theirs = (statistics.median(values) for values in found.values())
    ratios = [a / b for a, b in zip(*found.values(), strict=True)]
    of_rounds = f"{min(ratios):.2f} to {max(ratios):.2f}"
    print(f"ratio of the medians {ours / theirs:.2f}; of the rounds {of_rounds}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--t5", type=pathlib.Path, required=True, help="a checkout of T5")
    parser.add_argument("--tfds_data_dir", required=True, help="has c4/en/3.1.0")
    parser.add_argument("--vocabulary", required=True, help="a SentencePiece model")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each, in each round")
    arguments = parser.parse_args()
    set_default_vocabulary(arguments.vocabulary)
    seqio.set_tfds_data_dir_override(arguments.tfds_data_dir)
    vocabulary = seqio.SentencePieceVocabulary(arguments.vocabulary, extra_ids=100)
    preprocessors = load_preprocessors(arguments.t5)
    pipelines: dict[str, Callable[[], Batches]] = {
        "t5x_lite": our_batches,
        "SeqIO with T5's preprocessors": functools.partial(peer_batches, preprocessors, vocabulary),
    }
    versions = ", ".join(f"{p} {importlib.metadata.version(p)}" for p in ("seqio", "tensorflow"))
    print(f"{os.cpu_count()} CPU cores, {versions}; {TASK}, {LENGTHS}, batches of {BATCH_SIZE}")
    wall: dict[str, list[float]] = {name: [] for name in pipelines}
    cpu: dict[str, list[float]] = {name: [] for name in pipelines}
    for _ in range(arguments.rounds):
        for name, make in pipelines.items():
            of_wall, of_cpu = rates(make(), seconds=arguments.seconds)
            wall[name].append(of_wall)
            cpu[name].append(of_cpu)
    report("tokens a second", wall)
    # What counts where other programs use the machine as well.
    report("tokens a second of CPU time", cpu)


if __name__ == "__main__":
    main()
