"""Answers that are kept: scoring them again, with another metric say, decodes nothing.

They lie in EVAL_OUTPUT_DIR/decodes/<task>-<step>-<key>.npz, an array `ids` with a row for each
example, and what was scored in others. The key is a hash of all that an answer depends on: the
files of the checkpoint, the ids of the prompts, what is scored behind them, the model and how it
decodes; the mesh and the batch size are none of it.
"""

import dataclasses
import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence

import jax
import numpy as np
from etils import epath
from jax.experimental import multihost_utils

from t5x_lite import __version__, storage
from t5x_lite.checkpoints import pretrained
from t5x_lite.data.examples import Example
from t5x_lite.evaluation.config import EvalConfig

# By name, each with a row for each example.
Arrays = Mapping[str, np.ndarray]

# All else in a configuration may change an answer.
_WITHOUT_INFLUENCE = (
    "checkpoint_path",  # its files count, not its name
    "compilation_cache",
    "ensemble_paths",  # as above
    "dataset",  # the ids of the prompts count
    "num_examples",
    "option_score",  # `scored` says it where it matters
    "output_dir",
    "partitioning",
    "reuse_decodes",
    "statistics",
)


@dataclasses.dataclass(frozen=True)
class Decodes:
    """The answers kept in one folder."""

    folder: epath.Path

    def load(self, name: str, num_examples: int) -> Arrays | None:
        """What was kept under a name; None where there is nothing whole.

        All processes get the same: decoding is work in common, so none may take part alone.
        """
        arrays = _read(self.folder / name)
        found = arrays is not None and all(len(each) == num_examples for each in arrays.values())
        if jax.process_count() > 1:
            found = bool(np.all(multihost_utils.process_allgather(np.array(found))))
        return arrays if found else None

    def keep(self, name: str, arrays: Arrays) -> None:
        """Writes answers, whole or not at all."""
        if jax.process_index():
            return
        storage.make_folder(self.folder)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
        storage.write_whole(self.folder / name, buffer.getvalue())


def file_name(
    config: EvalConfig,
    task: str,
    step: int,
    examples: Sequence[Example],
    length: int | None,
    scored: Sequence[object] = (),
) -> str:
    """Where the answers of one checkpoint to these examples, cut to `length` ids, belong.

    Args:
        scored: all that decides scores beside the prompts; none where a text is generated only.
    """
    settings = {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(config)
        if field.name not in _WITHOUT_INFLUENCE
    }
    parts: Mapping[str, object] = {
        "version": __version__,
        # Activations are bfloat16 on some of them.
        "platform": jax.default_backend(),
        "checkpoints": [
            pretrained.identity(path) for path in (config.checkpoint_path, *config.ensemble_paths)
        ],
        "prompts": _prompts(examples, length),
        "settings": sorted(settings.items()),
        **({"scored": _hash(repr(scored))} if scored else {}),
    }
    return f"{task}-{step:06}-{_hash(repr(parts))[:16]}.npz"


def _prompts(examples: Sequence[Example], length: int | None) -> str:
    inputs = [example.get("inputs", ()) for example in examples]
    return _hash(repr([np.asarray(ids)[:length].tolist() for ids in inputs]))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: epath.Path) -> Arrays | None:
    if not path.exists():
        return None
    try:
        with np.load(io.BytesIO(path.read_bytes())) as file:
            return {name: file[name] for name in file.files} or None
    except (ValueError, KeyError, zipfile.BadZipFile):
        return None
