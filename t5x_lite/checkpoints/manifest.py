"""Sizes and checksums of a checkpoint's files: a truncated, flipped or missing one is noticed.

Every process notes the files that it wrote, process 0 joins the notes and adds the few files that
come last. Of the large ones that hold tensors only sizes are noted, as these have sums of their
own (leaf_sums.py), compared as they are restored; checkpoints of before have no such sums, and one
of every file. The sum of the manifest itself stands inside it.
"""

import json
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from etils import epath

from t5x_lite import storage
from t5x_lite.checkpoints import folders
from t5x_lite.checkpoints.leaf_sums import Sums
from t5x_lite.errors import UserError

_CHUNK = 1 << 24
_MAX_BYTES, _MAX_SECONDS = 10**18, 10**11  # dates of some thousand years can be shown
_LARGE = 1 << 20
_LEAVES = "leaves"
_PART = "manifest.process_{}.json"


def write_part(folder: epath.Path, process_index: int, written: Iterable[epath.Path]) -> None:
    """Notes the files that one process has written."""
    part = {str(path.relative_to(folder)): _note(path, folder) for path in written}
    (folder / _PART.format(process_index)).write_text(json.dumps(part))


def write(folder: epath.Path, process_count: int, leaves: Sums, **facts: Any) -> int:
    """Joins the parts, adds what no part names, and returns the bytes of all files.

    Raises:
        FileNotFoundError: some process noted nothing, so its part of the checkpoint is not there.
    """
    files: dict[str, tuple[int, int | None]] = {}
    for index in range(process_count):
        part = folder / _PART.format(index)
        if not part.exists():
            raise FileNotFoundError(f"process {index} of {process_count} could not write its part")
        files |= json.loads(part.read_text())
        part.unlink()
    for path in files_below(folder):
        name = str(path.relative_to(folder))
        if name not in files:
            files[name] = _note(path, folder)
    num_bytes = sum(size for size, _ in files.values())
    content = {**facts, "num_bytes": num_bytes, "files": files, _LEAVES: leaves}
    content["sum"] = _sum_of_content(content)
    (folder / folders.MANIFEST).write_text(json.dumps(content, indent=1))
    return num_bytes


def read(checkpoint: epath.Path) -> dict[str, Any]:
    """The facts and sums of a checkpoint.

    Raises:
        UserError: there is no manifest, or it is damaged itself.
    """
    try:
        content = json.loads((checkpoint / folders.MANIFEST).read_text())
        is_whole = content.pop("sum") == _sum_of_content(content)
    except FileNotFoundError:
        raise UserError(f"{folders.MANIFEST} is missing") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        is_whole = False
    if not is_whole:
        raise UserError(f"{folders.MANIFEST} is damaged")
    if problem := _contradiction(checkpoint, content):
        raise UserError(f"{folders.MANIFEST} {problem}")
    return content


def _contradiction(checkpoint: epath.Path, content: Mapping[str, Any]) -> str | None:
    """What a manifest, whole in itself, says that no save writes."""
    step, files = content.get("step"), content.get("files")
    if folders.is_checkpoint_name(checkpoint) and step not in (None, folders.step_of(checkpoint)):
        return f"is of step {step}"
    if not isinstance(files, dict) or not files:
        return "names no files"
    has_leaves = isinstance(content.get(_LEAVES), dict)
    for name, entry in files.items():
        if epath.Path(name).is_absolute() or ".." in epath.Path(name).parts:
            return f"names {name}, which is not in it"
        is_pair = isinstance(entry, list) and len(entry) == 2
        # A file of tensors needs no sum where they have sums themselves.
        numbers = entry[:1] if is_pair and entry[1] is None and has_leaves else entry
        if not is_pair or not all(_is_number(number, _MAX_BYTES) for number in numbers):
            return f"has {entry} for {name}; needed are a size and a checksum"
    for name, most in (("saved_at", _MAX_SECONDS), ("num_bytes", _MAX_BYTES)):
        if not _is_number(content.get(name, 0), most):
            return f"has {name}={content[name]}"
    return None


def _is_number(value: Any, most: int) -> bool:
    return type(value) in (int, float) and 0 <= value <= most


def problems(
    checkpoint: epath.Path, *, sums: bool = True, process_index: int = 0, process_count: int = 1
) -> list[str]:
    """What is wrong with a checkpoint's files; several processes each look at their share.

    Without `sums` only sizes are looked at, which reads no file.
    """
    try:
        files: Mapping[str, tuple[int, int | None]] = read(checkpoint)["files"]
    except UserError as error:
        return [str(error)]
    items = {name.split("/", 1)[0] for name in files if "/" in name}
    found = [f"{item}/ is missing" for item in sorted(items) if not (checkpoint / item).is_dir()]
    for name in sorted(files)[process_index::process_count]:
        path, (size, checksum) = checkpoint / name, files[name]
        if f"{name.split('/', 1)[0]}/ is missing" in found:
            continue
        if not path.exists():
            found.append(f"{name} is missing")
        elif path.stat().length != size:
            found.append(f"{name} has {path.stat().length} bytes, written were {size}")
        elif sums and checksum is not None and _sum(path) != checksum:
            found.append(f"{name} has other bytes than were written")
    return found


def leaf_sums(checkpoint: epath.Path) -> Sums | None:
    """The sums of its leaves; None for a checkpoint of before, whose files have sums instead.

    Raises:
        UserError: as `read`.
    """
    stored = read(checkpoint).get(_LEAVES)
    return None if stored is None else {name: tuple(each) for name, each in stored.items()}


def files_below(folder: epath.Path) -> list[epath.Path]:
    """All files of a folder and its folders, sorted."""
    found: list[epath.Path] = []
    for path in storage.listed(folder):
        found += files_below(path) if path.is_dir() else [path]
    return found


def _note(path: epath.Path, folder: epath.Path) -> tuple[int, int | None]:
    """Size and checksum; none of a large file of tensors."""
    size = path.stat().length
    has_tensors = path.relative_to(folder).parts[0] == folders.STATE
    return size, None if has_tensors and size > _LARGE else _sum(path)


def _sum(path: epath.Path) -> int:
    checksum = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            checksum = zlib.crc32(chunk, checksum)
    return checksum


def _sum_of_content(content: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())
