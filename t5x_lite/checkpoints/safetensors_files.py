"""Files of safetensors, opened where they are or refused by what they are."""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator

import ml_dtypes  # noqa: F401  (safetensors asks NumPy for "bfloat16", a name registered here)
import safetensors
from etils import epath

from t5x_lite.errors import UserError
from t5x_lite.text_files import check_regular, kind_of

FLOATS = ("F64", "F32", "F16", "BF16")


@contextlib.contextmanager
def opened(path: epath.PathLike) -> Iterator[safetensors.safe_open]:
    """The file, of which nothing is read before it is asked for.

    Raises:
        OSError: it cannot be read.
        UserError: it is no safetensors file, or not all of one.
    """
    with _local(epath.Path(path)) as local:
        check_regular(local)
        try:
            file = safetensors.safe_open(local, framework="np")
        except safetensors.SafetensorError as error:
            with local.open("rb") as content:
                kind = kind_of(content.read(200))
            raise UserError(
                f"{path} is not a whole file of safetensors ({error}), but {kind}; copy or "
                "download it again."
            ) from error
        with file:
            yield file


@contextlib.contextmanager
def _local(path: epath.Path) -> Iterator[pathlib.Path]:
    """The file itself, or a copy of one in a bucket: safetensors maps local files only."""
    if "://" not in os.fspath(path):
        yield pathlib.Path(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder) / path.name
        path.copy(copy)
        yield copy
