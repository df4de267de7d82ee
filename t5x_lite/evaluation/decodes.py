"""Answers that are kept: scoring them again, with another metric say, decodes nothing.

They lie in EVAL_OUTPUT_DIR/decodes/<task>-<step>-<key>.npz, an array `ids` with a row for each
example. The key is a hash of all that an answer depends on: the files of the checkpoint, the ids of
the prompts, the model and how it decodes; the mesh and the batch size are none of it.
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
from jaxtyping import Int32

from t5x_lite import __version__, storage
from t5x_lite.checkpoints import pretrained
from t5x_lite.data.examples import Example
from t5x_lite.evaluation.config import EvalConfig

Rows = Int32[np.ndarray, "examples _length"]

# All else in a configuration may change an answer.
_WITHOUT_INFLUENCE = (
    "checkpoint_path",  # its files count, not its name
    "compilation_cache",
    "ensemble_paths",  # as above
    "dataset",  # the ids of the prompts count
    "num_examples",
    "output_dir",
    "partitioning",
    "reuse_decodes",
    "statistics",
)


@dataclasses.dataclass(frozen=True)
class Decodes:
    """The answers kept in one folder."""

    folder: epath.Path

    def load(self, name: str, num_examples: int) -> Rows | None:
        """What was kept under a name; None where there is nothing whole.

        All processes get the same: decoding is work in common, so none may take part alone.
        """
        rows = _read(self.folder / name)
        found = rows is not None and len(rows) == num_examples
        if jax.process_count() > 1:
            found = bool(np.all(multihost_utils.process_allgather(np.array(found))))
        return rows if found else None

    def keep(self, name: str, rows: Rows) -> None:
        """Writes answers, whole or not at all."""
        if jax.process_index():
            return
        storage.make_folder(self.folder)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, ids=rows)
        storage.write_whole(self.folder / name, buffer.getvalue())


def file_name(
    config: EvalConfig, task: str, step: int, examples: Sequence[Example], length: int | None
) -> str:
    """Where the answers of one checkpoint to these examples, cut to `length` ids, belong."""
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
    }
    return f"{task}-{step:06}-{_hash(repr(parts))[:16]}.npz"


def _prompts(examples: Sequence[Example], length: int | None) -> str:
    return _hash(repr([np.asarray(example["inputs"])[:length].tolist() for example in examples]))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: epath.Path) -> Rows | None:
    if not path.exists():
        return None
    try:
        with np.load(io.BytesIO(path.read_bytes())) as file:
            return file["ids"]
    except (ValueError, KeyError, zipfile.BadZipFile):
        return None
