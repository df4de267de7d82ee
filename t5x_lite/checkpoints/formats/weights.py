"""The tensors of a Hugging Face directory: one file of safetensors, or shards with an index.

Reading is lazy, so memory holds the parameters, or a process's part of them, and not also the file.
"""

import contextlib
import dataclasses
import re
from collections.abc import Iterator

import numpy as np
import safetensors
from etils import epath

from t5x_lite.checkpoints import safetensors_files
from t5x_lite.errors import UserError
from t5x_lite.text_files import read_json_object

Shape = tuple[int, ...]
Index = tuple[slice, ...]

WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_FILE_NAME = re.compile(r"[^/\\\0]+\.safetensors")
_ROWS = 64  # read at a time where only some have to be seen


@dataclasses.dataclass(frozen=True)
class Stored:
    """A tensor still in its file."""

    file: safetensors.safe_open
    name: str

    @property
    def shape(self) -> Shape:
        """As the file's header says."""
        return tuple(self.file.get_slice(self.name).get_shape())

    @property
    def dtype(self) -> str:
        """In safetensors' words, such as BF16."""
        return self.file.get_slice(self.name).get_dtype()

    def read(self, index: Index = ()) -> np.ndarray:
        """The tensor, or a part of it (a slice for each axis), as float32.

        Raises:
            UserError: it holds what is no number.
        """
        stored = self.file.get_slice(self.name)[index] if index else self.file.get_tensor(self.name)
        with np.errstate(over="ignore"):  # a float64 may be too large; said below
            values = stored.astype(np.float32)
        if not np.isfinite(values).all():
            raise UserError(
                f"{self.name} holds NaN or infinite values, so every answer would be nonsense: "
                "the file is damaged, or its training failed; needed are other weights."
            )
        return values

    def is_zero(self) -> bool:
        """Whether it is nothing but zeros; of most tensors the first rows tell."""
        size = self.shape[0]
        parts = (slice(start, min(start + _ROWS, size)) for start in range(0, size, _ROWS))
        return not any(self.read((part,)).any() for part in parts)

    def equals(self, other: "Stored") -> bool:
        """Whether both hold the same numbers."""
        return self.shape == other.shape and np.array_equal(self.read(), other.read())


@contextlib.contextmanager
def opened(directory: epath.Path, model_class: str) -> Iterator[dict[str, Stored]]:
    """Every tensor of a whole or sharded file, by name.

    Args:
        model_class: what transformers calls the model; it makes these files of older ones.

    Raises:
        FileNotFoundError: a file is absent.
        UserError: one is damaged, or the index names what lies elsewhere.
    """
    names = _files(directory)
    if absent := [name for name in names if not (directory / name).is_file()]:
        raise FileNotFoundError(
            f"{directory} lacks {', '.join(absent)}. Weights are read from safetensors only; a "
            "pytorch_model.bin is turned into them by transformers: "
            f"{model_class}.from_pretrained(old).save_pretrained(new)."
        )
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(safetensors_files.opened(directory / name)) for name in names]
        yield {name: Stored(file, name) for file in files for name in file.keys()}


def _files(directory: epath.Path) -> list[str]:
    """The names of the files that the index names, or of the only one."""
    if not (directory / _INDEX).is_file():
        return [WEIGHTS]
    weight_map = read_json_object(directory / _INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise UserError(
            f"{directory / _INDEX} has no weight_map, from the names of tensors to those of files."
        )
    names = sorted(set(map(str, weight_map.values())))
    # A name that leads out of the directory would have any file of the machine read.
    if outside := [name for name in names if not _FILE_NAME.fullmatch(name)]:
        raise UserError(
            f"{directory / _INDEX} names {', '.join(map(repr, outside[:3]))}; needed are names of "
            "files beside it, *.safetensors."
        )
    return names
