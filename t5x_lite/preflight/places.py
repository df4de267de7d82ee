"""Whether there is room and leave to write; nothing is written to find out."""

import shutil
import tempfile

from etils import epath

from t5x_lite.checkpoints import folders
from t5x_lite.errors import UserError


def check_writable(directory: epath.PathLike, flag: str) -> epath.Path | None:
    """The folder that is there already and in which `directory` will be made, or itself; None where
    it lies in an object store, of which nothing is known.

    Raises:
        UserError: nothing can be written there.
    """
    path = folders.absolute(directory)
    if folders.is_remote(path):
        return None
    existing = next(each for each in (path, *path.parents) if each.exists())
    if not existing.is_dir():
        raise UserError(f"{existing} is a file; needed is a folder: {flag}=...")
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise UserError(
            f"nothing can be written to {existing} ({error.strerror or error}): give a directory "
            f"that you may write to, {flag}=..., or make room."
        ) from error
    return existing


def room_in(directory: epath.Path) -> int:
    """Free bytes."""
    return shutil.disk_usage(directory).free
