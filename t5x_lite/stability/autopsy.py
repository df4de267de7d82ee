"""MODEL_DIR/autopsy_<step>: all that is needed to understand a step that did not count.

    event.json              which step, why, and on how many devices
    config.gin              the job, without the modules of its tasks
    batch-0000i-of-0000n.*  the rows of each process: .npz as ids, .jsonl as text
    checkpoint_<step-1>/    the state before the step; a checkpoint like any other
    maxima.txt, maxima.json the largest parameters, activations and gradients, layer by layer

`t5x_lite replay` runs that step again from it (`replay`).
"""

import dataclasses
import io
import json
import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from etils import epath
from jax.experimental import multihost_utils

from t5x_lite import gin_text, json_lines
from t5x_lite.checkpoints import folders
from t5x_lite.checkpoints.folders import absolute
from t5x_lite.display.progress import say
from t5x_lite.errors import UserError
from t5x_lite.features.layouts import Content, LayoutRow
from t5x_lite.losses.config import TermConfig
from t5x_lite.partitioning.partitioner import Partitioner
from t5x_lite.stability.examine import Findings, make_examination
from t5x_lite.stability.guard import Event
from t5x_lite.stability.states import State, States

Decode = Callable[[Sequence[int]], str]

# The state is by far the largest part; that of older events is given up.
_STATES_KEPT = 3
_ROWS = "global_rows"


def write_autopsy(
    model_dir: epath.PathLike,
    event: Event,
    state: State,
    states: States,
    *,
    loss: tuple[TermConfig, ...],
    seed: int,
    operative_config: str,
    decode: Decode | None,
    save_state: Callable[[epath.Path, Any], None],
) -> epath.Path:
    """Writes the folder, by all processes together, and prints the worst lines.

    What fails (a full disk, a device without room for a second program) is said and left out: an
    autopsy never ends a run.

    Args:
        state: the one before the step, `health.clear`ed.
        seed: of dropout, as in training.
        decode: ids to text; None leaves the texts out.
        save_state: writes a state into a folder as checkpoint_<step>, and returns when it is there.
    """
    directory = absolute(model_dir) / f"autopsy_{event.step}"
    batch = states.partitioner.global_batch(event.batch)
    layout = states.model.features.row
    _prepare(directory)

    def examine() -> None:
        findings = make_examination(states, loss, seed=seed)(state, batch)
        _write_findings(directory, findings)
        say(findings.table())

    def describe() -> None:
        if jax.process_index() == 0:
            _write_event(directory, event, states.partitioner)
            # Ids are stored, so a replay needs no task.
            (directory / "config.gin").write_text(gin_text.without_imports(operative_config))

    # What is cheapest and cannot be had again comes first.
    _attempt("describe the event", describe)
    _attempt("write the batch", lambda: _write_batch(directory, batch, decode, layout))
    _attempt("save the state", lambda: save_state(directory, state))
    _attempt("find the largest values", examine)
    _attempt("remove older states", lambda: _give_up_old_states(directory))
    return directory


def read_event(directory: epath.Path) -> dict[str, Any]:
    """What event.json says; numbers that are not finite included.

    Raises:
        FileNotFoundError: the folder is no autopsy.
    """
    path = directory / "event.json"
    if not path.exists():
        raise FileNotFoundError(
            f"{directory} is no autopsy: it has no event.json. Needed is a folder "
            "MODEL_DIR/autopsy_<step>, which a run leaves at a step that did not count."
        )
    found = json.loads(path.read_text())
    return found | {name: float(found[name]) for name in ("loss", "gradient_norm")}


def read_batch(directory: epath.Path) -> dict[str, np.ndarray]:
    """The global batch, put together from the rows of all processes.

    Raises:
        UserError: rows are missing.
    """
    parts = []
    for path in sorted(directory.glob("batch-*.npz")):
        with np.load(io.BytesIO(path.read_bytes())) as file:
            parts.append(dict(file))
    rows = np.concatenate([part.pop(_ROWS) for part in parts]) if parts else np.zeros(0, np.int64)
    count = int(read_event(directory)["rows"])
    missing = sorted(set(range(count)) - set(rows.tolist()))
    if missing:
        raise UserError(
            f"{directory} lacks rows {missing[:5]} of the batch's {count}: needed is the "
            "batch-*.npz of every process."
        )
    _, first = np.unique(rows, return_index=True)
    return {name: np.concatenate([part[name] for part in parts])[first] for name in parts[0]}


def texts(
    batch: Mapping[str, np.ndarray], rows: Sequence[int], decode: Decode, layout: LayoutRow
) -> list[dict]:
    """Each example of each row as text."""
    tokens, segment_ids = layout.named(Content.TOKENS), layout.named(Content.SEGMENT_IDS)
    lines = []
    for at, row in enumerate(rows):
        segments = {sequence: batch[name][at] for sequence, name in segment_ids.items()}
        count = max(int(each.max(initial=0)) for each in segments.values())
        for example in range(1, count + 1):
            found = {
                sequence: decode(batch[tokens[sequence]][at][each == example].tolist())
                for sequence, each in segments.items()
            }
            lines.append({"row": row, "example": example} | found)
    return lines


def _prepare(directory: epath.Path) -> None:
    """An empty folder, for all processes; that of an earlier try at the same step goes."""

    def make() -> None:
        if directory.exists():
            directory.rmtree()
        directory.mkdir(parents=True)

    if jax.process_index() == 0:
        _attempt("make the folder", make)
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(f"{directory.name} is there")


def _attempt(what: str, action: Callable[[], None]) -> None:
    try:
        action()
    # Whatever it is, the run's own reason to stop or to go on is the one that counts.
    except Exception as error:
        last = traceback.format_exception_only(error)[-1].strip()
        say(f"autopsy: could not {what}: {last[:500]}")


def _write_event(directory: epath.Path, event: Event, partitioner: Partitioner) -> None:
    rows = len(next(iter(event.batch.values()))) * partitioner.reader[1]
    described = {
        "step": event.step,
        "reason": event.reason,
        "loss": _json(event.loss),
        "gradient_norm": _json(event.gradient_norm),
        "rows": rows,
        "mesh": dict(partitioner.mesh.shape),
        "device": jax.devices()[0].device_kind,
        "processes": jax.process_count(),
        "jax": jax.__version__,
    }
    (directory / "event.json").write_text(json.dumps(described, indent=2) + "\n")


def _write_batch(
    directory: epath.Path,
    batch: Mapping[str, jax.Array],
    decode: Decode | None,
    layout: LayoutRow,
) -> None:
    local, rows = _local_rows(batch)
    name = f"batch-{jax.process_index():05d}-of-{jax.process_count():05d}"
    file = io.BytesIO()
    arrays: dict[str, Any] = {_ROWS: rows, **local}
    np.savez_compressed(file, **arrays)
    (directory / f"{name}.npz").write_bytes(file.getvalue())
    if decode is not None:
        lines = texts(local, rows.tolist(), decode, layout)
        json_lines.write_lines(directory / f"{name}.jsonl", lines)


def _local_rows(batch: Mapping[str, jax.Array]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """This process's rows, each once, and their numbers in the global batch: the noise of dropout
    depends on them.
    """
    found, rows = {}, np.zeros(0, np.int64)
    for name, array in batch.items():
        pieces = {shard.index[0].start or 0: shard.data for shard in array.addressable_shards}
        starts = sorted(pieces)
        found[name] = np.concatenate([np.asarray(pieces[start]) for start in starts])
        rows = np.concatenate([np.arange(len(pieces[start])) + start for start in starts])
    return found, rows


def _write_findings(directory: epath.Path, findings: Findings) -> None:
    if jax.process_index():
        return
    (directory / "maxima.txt").write_text(findings.table(most=None) + "\n")
    described = {name: _json(value) for name, value in dataclasses.asdict(findings).items()}
    (directory / "maxima.json").write_text(json.dumps(described) + "\n")


def _json(value: Any) -> Any:
    """JSON knows no NaN and no infinity; float() reads their names too."""
    if isinstance(value, list | tuple):
        return [_json(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _give_up_old_states(directory: epath.Path) -> None:
    if jax.process_index():
        return
    autopsies = directory.parent.glob("autopsy_*")
    others = [(step, autopsy) for autopsy in autopsies for step in folders.steps(autopsy)]
    for step, autopsy in sorted(others)[:-_STATES_KEPT]:
        if autopsy != directory:
            folders.folder_of(autopsy, step).rmtree()
            say(f"{autopsy} keeps its batch; its state makes room for that of {directory.name}")
