"""Which folders a process reads downstream tasks from, in place of TFDS. No TensorFlow here.

As with the vocabulary, a task registers long before anyone says where its data is: the command line
says it (`--gin.TASK_FILES`, `--task_files`), the sources of t5x_lite.tasks look here.
"""

from etils import epath

_folders: tuple[epath.Path, ...] = ()


def set_task_files(folders: str | None) -> None:
    """Makes the tasks of this process read original files, found in one folder or in several.

    Args:
        folders: separated by commas, searched in this order; None is TFDS.

    Raises:
        FileNotFoundError: one of them is no folder.
    """
    global _folders
    named = tuple(epath.Path(each) for each in folders.split(",")) if folders else ()
    missing = [str(folder) for folder in named if not folder.is_dir()]
    if missing:
        raise FileNotFoundError(
            f"{', '.join(missing)}: there is no such folder; needed is the one with the original "
            "files of the task's data set (TASK_FILES, --task_files), or nothing to read from TFDS"
        )
    _folders = named


def task_files() -> tuple[epath.Path, ...]:
    """The folders given to `set_task_files`; none means TFDS."""
    return _folders
