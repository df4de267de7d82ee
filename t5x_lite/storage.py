"""Local disks and object stores such as gs://, and what may be counted on in both.

An object store takes an object whole or not at all, and replaces it at once. It appends to none,
renames no folder at once, and has no empty folders: a prefix under which nothing lies is not there.
Its clients differ in what they raise, and some take a server that fails for a file that is absent.
"""

import contextlib
import os
import threading
import time
from collections.abc import Iterator

from etils import epath

# gcsfs would remember what it has listed for as long as the process lives, while TensorStore and
# other processes write there. fsspec looks for this when it is imported.
os.environ.setdefault("FSSPEC_GCS", '{"use_listings_cache": false}')

_SLOW_SECONDS = 5.0
_SECONDS_BETWEEN_LINES = 60.0
_CLIENTS = ("etils.epath.backend", "fsspec.", "gcsfs.")
_last_line = -_SECONDS_BETWEEN_LINES


def is_remote(path: epath.PathLike) -> bool:
    """Whether this is in an object store."""
    return "://" in str(path)


def exists(path: epath.Path) -> bool:
    """Whether there is a file or a folder.

    Raises:
        OSError: a store did not say; never is that taken for a no.
    """
    if not is_remote(path):
        return path.exists()
    try:
        with answering(path):
            path.stat()
    except FileNotFoundError:
        return False
    return True


def listed(folder: epath.Path) -> list[epath.Path]:
    """What lies in a folder, sorted; nothing where there is no folder.

    Raises:
        OSError: a store did not say.
    """
    if not is_remote(folder):
        return sorted(folder.iterdir()) if folder.is_dir() else []
    try:
        with answering(folder):
            found = {folder / path.name for path in folder.iterdir() if path.name}
    except FileNotFoundError:
        return []
    # The mark of an empty folder is listed in it, under its own name.
    return sorted(path for path in found if path.name != folder.name or exists(path))


def make_folder(folder: epath.Path) -> None:
    """Makes a folder and those above it; a store needs none."""
    if not is_remote(folder):
        folder.mkdir(parents=True, exist_ok=True)


def write_whole(path: epath.Path, content: bytes) -> None:
    """Writes a file that is the old one or the new one, whenever the process dies.

    Raises:
        OSError: it could not be written; the old one is as it was.
    """
    if is_remote(path):
        with answering(path):
            path.write_bytes(content)
        return
    partial = path.parent / f"{path.name}.partial"
    with open(partial, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


@contextlib.contextmanager
def answering(path: epath.PathLike) -> Iterator[None]:
    """Inside, a store is asked about a path: one that does not answer within seconds is named on
    the terminal, as its clients try again in silence for minutes; what they raise at last is an
    OSError. Local paths are left alone.
    """
    if not is_remote(path):
        yield
        return
    timer = threading.Timer(_SLOW_SECONDS, _say_slow, [path])
    timer.daemon = True
    timer.start()
    try:
        with os_errors():
            yield
    finally:
        timer.cancel()


@contextlib.contextmanager
def watched(path: epath.PathLike) -> Iterator[None]:
    """Inside, tensors travel, whose client tries again in silence: the store is asked beside it now
    and then, so that one that fails or does not answer is named here, too.
    """
    ended = threading.Event()

    def ask() -> None:
        while not ended.wait(_SLOW_SECONDS):
            try:
                exists(epath.Path(path))
            except OSError as error:
                _warn(f"{path}: {error}; it is tried again for minutes")

    if is_remote(path):
        threading.Thread(target=ask, name="watch store", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


@contextlib.contextmanager
def os_errors() -> Iterator[None]:
    """Inside, what the client of a store raises is an OSError, as of any other file."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        if not _is_of_a_client(error):
            raise
        name = type(error).__name__
        text = f"the object store: {(str(error) or name).splitlines()[0]} ({name})"
        # TensorFlow's name; that of most is a FileNotFoundError.
        raise (FileNotFoundError if name == "NotFoundError" else OSError)(text) from error


def _is_of_a_client(error: Exception) -> bool:
    """Whether an error passed through what only the client of a store calls or is."""
    step = error.__traceback__
    while step is not None:
        if str(step.tb_frame.f_globals.get("__name__")).startswith(_CLIENTS):
            return True
        step = step.tb_next
    return False


def _say_slow(path: epath.PathLike) -> None:
    _warn(
        f"no answer about {path} for {_SLOW_SECONDS:g} s, and it is asked for again and again: is "
        "the name right, is the network up, may you read and write there?"
    )


def _warn(text: str) -> None:
    """Says it, unless something was said a moment ago."""
    global _last_line
    now = time.monotonic()
    if now - _last_line >= _SECONDS_BETWEEN_LINES:
        _last_line = now
        print(f"WARNING: {text}", flush=True)
