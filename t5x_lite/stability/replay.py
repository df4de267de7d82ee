"""Runs the step of an autopsy again: the same state, batch and noise, on any mesh."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
from etils import epath
from jaxtyping import Array

from t5x_lite.checkpoints import description, manager
from t5x_lite.display.progress import say
from t5x_lite.losses.config import TermConfig
from t5x_lite.stability import health
from t5x_lite.stability.autopsy import read_batch, read_event
from t5x_lite.stability.examine import make_examination
from t5x_lite.stability.states import States

# Another mesh adds the same numbers in another order.
_TOLERANCE = 1e-3


# Takes a state and a global batch; gives the next state and sums of metrics.
TrainStep = Callable[[Any, Mapping[str, Array]], tuple[Any, Mapping[str, Array]]]


def replay(
    directory: epath.PathLike,
    states: States,
    *,
    loss: tuple[TermConfig, ...],
    seed: int,
    make_step: Callable[[int], TrainStep],
) -> bool:
    """Prints what the step gives now and whether that is what it gave; True if it is.

    Args:
        seed: of dropout, as in training.
        make_step: the training step of a run that began at the step given.

    Raises:
        FileNotFoundError: the folder is no autopsy, or its state is gone.
        UserError: batch or state do not fit the job.
    """
    folder = manager.absolute(directory)
    event, batch = read_event(folder), read_batch(folder)
    checkpoint = manager.find(folder)
    state = manager.restore(checkpoint, states.abstract)
    placed = states.partitioner.place_batch(batch)
    mesh = dict(states.partitioner.mesh.shape)
    say(f"{folder}: step {event['step']}, {event['reason']} (mesh {event['mesh']})")
    say(f"again on mesh {mesh}, {jax.devices()[0].device_kind}:")
    findings = make_examination(states, loss, seed=seed)(state, placed)
    train_step = make_step(description.read(checkpoint).initial_step)
    known = {name: value.item() for name, value in jax.device_get(state.health).items()}
    state, metrics = train_step(state, placed)
    judged = {name: value.item() for name, value in jax.device_get(state.health).items()}
    if judged["halted_at"]:
        value, norm = judged["halted_loss"], judged["halted_gradient_norm"]
        mean, variance = known["loss_mean"], known["loss_variance"]
        verdict = f"unhealthy: {health.reason(value, norm, mean=mean, variance=variance)}"
    else:
        value = float(metrics["loss_sum"]) / max(float(metrics["weight_sum"]), 1.0)
        norm, verdict = findings.gradient_norm, "healthy"
    say(f"loss {value!r}, gradient norm {norm!r}: {verdict}\n")
    say(findings.table())
    return _compare(event, value, norm)


def _compare(event: dict, loss: float, norm: float) -> bool:
    pairs = {"loss": (event["loss"], loss), "gradient norm": (event["gradient_norm"], norm)}
    if all(_equal(*pair) for pair in pairs.values()):
        say("\nIt reproduces, to the last bit.")
        return True
    if all(_close(*pair) for pair in pairs.values()):
        say(f"\nIt reproduces, to {_TOLERANCE:g}: {_differences(pairs)}.")
        return True
    say(
        f"\nIt does not reproduce: {_differences(pairs)}. What differs is the machine, the mesh or "
        "what --gin.... changed; where nothing does, suspect the hardware it ran on."
    )
    return False


def _equal(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


def _close(one: float, other: float) -> bool:
    return _equal(one, other) or math.isclose(one, other, rel_tol=_TOLERANCE)


def _differences(pairs: dict[str, tuple[float, float]]) -> str:
    return ", ".join(
        f"{name} {then:.9g} then, {now:.9g} now" for name, (then, now) in pairs.items()
    )
