"""Orbax checkpoints of a run: MODEL_DIR/checkpoint_<step>, written in the background, atomically.

Each holds two items: `state` (parameters, optimizer slots, step) and `config` (the operative gin
text of the run that wrote it, and the step it started from).
"""

import dataclasses
import re
from typing import Any

import jax
import orbax.checkpoint as ocp
from etils import epath
from orbax.checkpoint.utils import is_checkpoint_finalized

from t5x_lite.checkpoints.config import SaveCheckpointConfig

_PREFIX = "checkpoint"
_NAME = re.compile(rf"{_PREFIX}_(\d+)")


@dataclasses.dataclass(frozen=True)
class Description:
    """What a checkpoint says of its run: the gin text that made it, and the step its initial
    checkpoint brought along (0 from scratch), from which relative steps are counted.
    """

    operative_config: str
    initial_step: int = 0


class Checkpoints:
    """The checkpoints of one model directory."""

    def __init__(self, model_dir: epath.PathLike, config: SaveCheckpointConfig):
        self.directory = absolute(model_dir)
        self.period = config.period
        options = ocp.CheckpointManagerOptions(
            step_prefix=_PREFIX, max_to_keep=config.keep, create=True
        )
        self._manager = ocp.CheckpointManager(self.directory, options=options)

    def save(self, step: int, state: Any, description: "Description") -> None:
        """Starts to write a checkpoint; a step that is already there is left alone."""
        if self._manager.latest_step() == step:
            return
        items = ocp.args.Composite(
            state=ocp.args.StandardSave(_as_dict(state)),
            config=ocp.args.JsonSave(dataclasses.asdict(description)),
        )
        self._manager.save(step, args=items)

    def close(self) -> None:
        """Waits until everything is on disk."""
        self._manager.wait_until_finished()
        self._manager.close()


def absolute(path: epath.PathLike) -> epath.Path:
    """TensorStore refuses relative paths; URLs such as gs:// are absolute already."""
    path = epath.Path(path)
    return path if "://" in str(path) else path.expanduser().absolute()


def find(path: epath.PathLike) -> epath.Path:
    """The checkpoint that `path` names: itself, or the newest of a model directory.

    Raises:
        FileNotFoundError: there is none; the message lists the nearest that exist.
        ValueError: it is damaged; the message names the newest that is whole.
    """
    path = absolute(path)
    if _NAME.fullmatch(path.name) and path.is_dir():
        return _whole(path)
    checkpoint = newest(path)
    if checkpoint is not None:
        return checkpoint
    siblings = [str(path.parent / f"{_PREFIX}_{step}") for step in _steps(path.parent)]
    known = f"; there are {', '.join(siblings)}" if siblings else ""
    raise FileNotFoundError(
        f"no checkpoint at {path}: needed is a folder {_PREFIX}_<step>, or a model directory that "
        f"holds some{known}."
    )


def newest(model_dir: epath.PathLike) -> epath.Path | None:
    """The newest checkpoint of a model directory, if it has any.

    Raises:
        ValueError: it is damaged.
    """
    directory = absolute(model_dir)
    steps = _steps(directory)
    return _whole(directory / f"{_PREFIX}_{steps[-1]}") if steps else None


def _whole(checkpoint: epath.Path) -> epath.Path:
    missing = [item for item in ("state", "config") if not (checkpoint / item).is_dir()]
    if not missing:
        return checkpoint
    older = [
        folder
        for step in _steps(checkpoint.parent)
        if step < step_of(checkpoint)
        and (folder := checkpoint.parent / f"{_PREFIX}_{step}" / "state").is_dir()
    ]
    rest = f"; {older[-1].parent} is whole" if older else ""
    raise ValueError(
        f"the checkpoint {checkpoint} is damaged: it has no {' and no '.join(missing)}. Remove the "
        f"folder, or restore it from a copy{rest}."
    )


def step_of(checkpoint: epath.Path) -> int:
    """The step in a checkpoint's name."""
    match = _NAME.fullmatch(checkpoint.name)
    assert match is not None, f"{checkpoint} is no result of `find`"
    return int(match.group(1))


def restore(checkpoint: epath.Path, abstract: Any) -> Any:
    """Reads a state into the shapes, dtypes and shardings of `abstract`, whatever mesh wrote it.

    `abstract` is a whole `TrainState` or only some of its parts as a dictionary, for instance
    {"parameters": ...}; parts that it lacks are not read.

    Raises:
        ValueError: a leaf is missing, left over or of another shape, each with its name.
    """
    wanted = _as_dict(abstract)
    _check_shapes(checkpoint, wanted)
    arguments = ocp.args.PyTreeRestore(
        item=wanted,
        restore_args=ocp.checkpoint_utils.construct_restore_args(wanted),
        partial_restore=True,
    )
    with _reader() as reader:
        restored = reader.restore(checkpoint, args=ocp.args.Composite(state=arguments))["state"]
    return restored if isinstance(abstract, dict) else type(abstract)(**restored)


def description(checkpoint: epath.Path) -> Description:
    """What a checkpoint says of the run that wrote it."""
    with _reader() as reader:
        items = reader.restore(checkpoint, args=ocp.args.Composite(config=ocp.args.JsonRestore()))
    return Description(**items["config"])


def _reader() -> ocp.Checkpointer:
    handlers = {
        "state": ocp.PyTreeCheckpointHandler(),
        "config": ocp.JsonCheckpointHandler(),
    }
    return ocp.Checkpointer(ocp.CompositeCheckpointHandler(**handlers))


def _steps(directory: epath.Path) -> list[int]:
    if not directory.is_dir():
        return []
    found = ((path, _NAME.fullmatch(path.name)) for path in directory.iterdir() if path.is_dir())
    # On object stores, which cannot rename, an unfinished save has its final name already.
    return sorted(
        int(match.group(1)) for path, match in found if match and is_checkpoint_finalized(path)
    )


def _as_dict(state: Any) -> dict[str, Any]:
    """A state as a plain dictionary, so that a checkpoint's names do not depend on our classes."""
    return state if isinstance(state, dict) else dict(vars(state))


def _check_shapes(checkpoint: epath.Path, wanted: dict[str, Any]) -> None:
    with _reader() as reader:
        metadata = reader.metadata(checkpoint).item_metadata["state"].tree
    found = {
        name: tuple(leaf.shape) for name, leaf in _leaves(metadata).items() if _top(name) in wanted
    }
    needed = {name: tuple(leaf.shape) for name, leaf in _leaves(wanted).items()}
    problems = [
        f"  {name}: checkpoint {found.get(name, 'has none')}, model {needed.get(name, 'has none')}"
        for name in sorted(found.keys() | needed.keys())
        if found.get(name) != needed.get(name)
    ]
    if problems:
        more = f"\n  ... and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise ValueError(
            f"the checkpoint {checkpoint} does not fit the model of this job:\n"
            + "\n".join(problems[:5])
            + more
            + "\nUse the gin file of the model that wrote it; its configuration is stored in the "
            "checkpoint's folder config."
        )


def _leaves(tree: Any) -> dict[str, Any]:
    paths, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in paths}


def _top(name: str) -> str:
    return name.split("/", 1)[0]
