"""Where it breaks: the largest activations, gradients and parameters of one training step."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from t5x_lite.features.outputs import Outputs
from t5x_lite.losses.config import TermConfig
from t5x_lite.losses.table import Loss, make_loss
from t5x_lite.losses.weighting import ROW_WEIGHTS, of_targets
from t5x_lite.model import maxima, transformer
from t5x_lite.optim.per_layer import Axes, is_stacked
from t5x_lite.stability.states import State, States

_SHOWN = 8

Places = list[tuple[str, float]]


@dataclasses.dataclass(frozen=True)
class Findings:
    """One step under the lens: (place, largest absolute value), layer by layer.

    Activations stand in the order of the forward pass, padding included; `rows` holds the loss per
    token of each row of the batch.
    """

    loss: float
    gradient_norm: float
    parameters: Places
    activations: Places
    gradients: Places
    rows: list[float]

    def beginning(self) -> str:
        """Where numbers first stop to be finite, in words."""
        for kind in ("parameters", "activations"):
            for place, value in getattr(self, kind):
                if not math.isfinite(value):
                    return f"the first value that is not finite: {kind}, {place} ({value})"
        count = sum(not math.isfinite(value) for _, value in self.gradients)
        if count:
            return (
                "parameters and activations are finite, the gradients of "
                f"{count} of {len(self.gradients)} places are not"
            )
        return "all values are finite"

    def table(self, most: int | None = _SHOWN) -> str:
        """The worst lines of each kind, those that are not finite first; all if `most` is None."""
        lines = [self.beginning()]
        for kind in ("parameters", "activations", "gradients"):
            found = getattr(self, kind)
            shown = found if most is None else sorted(found, key=_badness)[:most]
            lines += ["", f"{'largest':>12}  {kind}"]
            lines += [f"{value:12.4g}  {place}" for place, value in shown]
        rows = [(f"row {row}", loss) for row, loss in enumerate(self.rows)]
        lines += ["", f"{'loss':>12}  rows of the batch"]
        shown_rows = rows if most is None else sorted(rows, key=_badness)[:most]
        return "\n".join([*lines, *(f"{loss:12.4g}  {row}" for row, loss in shown_rows)])


@functools.lru_cache(maxsize=1)  # a run that leaves out several steps compiles it once
def make_examination(
    states: States, terms: tuple[TermConfig, ...], *, seed: int
) -> Callable[[State, Mapping[str, Array]], Findings]:
    """A function that runs a step's forward and backward pass, with the dropout noise of that step,
    and changes nothing.

    The whole batch goes through at once, also where training cuts it to microbatches.
    """
    examine = jax.jit(
        functools.partial(_examine, states, make_loss(terms), seed),
        in_shardings=(
            states.shardings,
            states.frozen_shardings,
            states.partitioner.batch_sharding,
        ),
        out_shardings=states.partitioner.sharding(()),
    )

    def findings(state: State, batch: Mapping[str, Array]) -> Findings:
        found = jax.device_get(examine(state, states.frozen, batch))
        return Findings(
            loss=float(found["loss"]),
            gradient_norm=float(found["gradient_norm"]),
            parameters=_by_layer(found["parameters"]),
            activations=maxima.in_order(found["activations"]),
            gradients=_by_layer(found["gradients"]),
            rows=found["rows"].tolist(),
        )

    return findings


def _examine(
    states: States,
    loss: Loss,
    seed: int,
    state: State,
    frozen: Mapping[str, Any],
    batch: Mapping[str, Array],
) -> dict[str, Any]:
    dropout_key = jax.random.fold_in(jax.random.key(seed), state.step)
    taught = states.taught(loss.wanted_of_teacher, frozen, batch)

    def loss_of(parameters: Any) -> tuple[Array, Any]:
        with states.partitioner.activations():
            outputs, activations = transformer.apply_with_maxima(
                states.model, parameters, batch, wanted=loss.wanted, dropout_key=dropout_key
            )
            value, metrics = loss(outputs, taught, batch, training=True)
            rows = _row_losses(loss, outputs, taught, batch)
        return value, (metrics, activations, rows)

    found, gradients = jax.value_and_grad(loss_of, has_aux=True)(state.parameters)
    metrics, activations, rows = found[1]
    axes = states.axes.parameters
    return {
        "loss": metrics["loss_sum"] / jnp.maximum(metrics["weight_sum"], 1.0),
        "gradient_norm": optax.tree.norm(gradients),
        "activations": activations,
        "rows": rows,
        "parameters": jax.tree.map(_largest, state.parameters, axes),
        "gradients": jax.tree.map(_largest, gradients, axes),
    }


def _row_losses(
    loss: Loss, outputs: Outputs, taught: Outputs | None, batch: Mapping[str, Array]
) -> Float[Array, " batch"]:
    """The loss per token of each row alone: how much of both sums hangs on its weights."""
    alone = jax.lax.stop_gradient((outputs, taught))

    def sums_of(shares: Float[Array, " batch"]) -> tuple[Array, Array]:
        _, sums = loss(*alone, {**batch, ROW_WEIGHTS: shares}, training=True)
        return sums["loss_sum"], sums["weight_sum"]

    losses, counts = jax.jacrev(sums_of)(jnp.ones(len(of_targets(batch, "segment_ids"))))
    return losses / jnp.maximum(counts, 1.0)


def _largest(leaf: Array, axes: Axes) -> Float[Array, "*layers"]:
    return maxima.largest(leaf, per_layer=is_stacked(axes))


def _by_layer(tree: Mapping[str, Any]) -> Places:
    places: Places = []
    for keys, values in jax.tree_util.tree_flatten_with_path(tree)[0]:
        name = jax.tree_util.keystr(keys, simple=True, separator="/")
        if np.ndim(values):
            places += [
                (name.replace("layers/", f"layers/{layer}/", 1), value)
                for layer, value in enumerate(values.tolist())
            ]
        else:
            places.append((name, float(values)))
    return places


def _badness(place: tuple[str, float]) -> tuple[bool, float]:
    """Sorts NaN before infinity before the largest."""
    value = place[1]
    return not math.isnan(value), 0.0 if math.isnan(value) else -value
