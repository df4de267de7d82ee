"""Finds the file of a data set in the folders that the user named, or says what is missing."""

from collections.abc import Iterator, Sequence

from etils import epath

Folders = tuple[epath.Path, ...]
_SHOWN = 12


def find(
    folders: Folders, names: Sequence[str], *, within: Sequence[str], columns: str
) -> epath.Path:
    """The first of `names` that exists in a folder itself or in one of its subfolders `within`.

    Capitals, `-` and `_` do not count: `SuperGLUE/AX-b` is `super_glue/axb`.

    Args:
        columns: what the file has to hold, for the error.

    Raises:
        FileNotFoundError: none of them exists; says what was looked for and what is there.
    """
    for place in places(folders, within):
        for name in names:
            # The folder of the task itself may be named: CoLA, for CoLA/train.tsv.
            first, _, rest = name.partition("/")
            own = child(place, rest) if rest and _plain(place.name) == _plain(first) else None
            for found in (own, child(place, name)):
                if found is not None and found.is_file():
                    return found
    raise missing(folders, names, within=within, columns=columns)


def missing(
    folders: Folders, names: Sequence[str], *, within: Sequence[str], columns: str
) -> FileNotFoundError:
    """The error about a file that is nowhere."""
    around = list(places(folders, within))
    own = [child(place, name.rpartition("/")[0]) for place in around for name in names]
    nearest = {folder for folder in own if folder is not None and folder.is_dir()} or set(around)
    there = sorted({_shown(path) for folder in nearest for path in folder.iterdir()})
    listed = ", ".join(there[:_SHOWN]) + (", ..." if len(there) > _SHOWN else "")
    return FileNotFoundError(
        f"No {' or '.join(dict.fromkeys(names))} in {', '.join(map(str, folders))} or in a "
        f"subfolder {' or '.join(within)}. Needed is a file with {columns}. Found: "
        f"{listed or 'nothing'}. TASK_FILES (--task_files) names the folder of the original files; "
        "without it, data comes from TFDS."
    )


def places(folders: Folders, within: Sequence[str]) -> Iterator[epath.Path]:
    """Each folder, then its subfolders of these names."""
    for folder in folders:
        yield folder
        for name in within:
            if (found := child(folder, name)) is not None and found.is_dir():
                yield found


def child(folder: epath.Path, name: str) -> epath.Path | None:
    """`folder / name` as it is spelled on the disk, or None."""
    for part in name.split("/"):
        if (folder / part).exists():
            folder = folder / part
            continue
        if not folder.is_dir():
            return None
        alike = [path for path in sorted(folder.iterdir()) if _plain(path.name) == _plain(part)]
        if not alike:
            return None
        folder = alike[0]
    return folder


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _shown(path: epath.Path) -> str:
    return f"{path.name}/" if path.is_dir() else path.name
