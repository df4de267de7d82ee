"""Matching a teacher inside a model: hidden states and scores of attention (Sanh et al. 2019, Jiao
et al. 2020). Padding counts nothing, and a packed example as much as one by itself.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from t5x_lite.features.outputs import MEAN_SCORES, SCORES, STATES, Outputs, Wanted
from t5x_lite.losses.states_config import (
    LayerTermConfig,
    MatchDirectionConfig,
    MatchInputConfig,
    MatchScoresConfig,
    MatchStatesConfig,
    StateTermConfig,
)
from t5x_lite.losses.weighting import Batch, Sums, counted_segments, of_rows, reduced

Costs = Float[Array, "batch length"]


@dataclasses.dataclass(frozen=True)
class MatchInside:
    """A term that asks model and teacher for the same and compares it at each position."""

    config: StateTermConfig
    wanted: Wanted
    costs_of: Callable[[Any, Outputs, Outputs, Batch], Costs]

    @property
    def wanted_of_teacher(self) -> Wanted:
        """The same."""
        return self.wanted

    def weights(self, batch: Batch) -> Float[Array, "batch length"]:
        """Of real tokens."""
        return of_rows(batch, counted_segments(batch, self.config) > 0)

    def __call__(
        self,
        outputs: Outputs,
        teacher: Outputs | None,
        batch: Batch,
        normalizer: Float[Array, ""],
        *,
        training: bool,
    ) -> tuple[Float[Array, ""], Sums]:
        """The loss, alike in training and evaluation, and the sums behind it."""
        assert teacher is not None, "a job without a teacher is refused"
        costs = self.costs_of(self.config, outputs, teacher, batch)
        return reduced(batch, costs, self.weights(batch), self.config, normalizer)


def match_direction(config: MatchDirectionConfig) -> MatchInside:
    """The term of `MatchDirectionConfig`."""
    return MatchInside(config, Wanted((), (config.stack,)), _directions)


def match_input(config: MatchInputConfig) -> MatchInside:
    """The term of `MatchInputConfig`."""
    return MatchInside(config, _inside(config, STATES), _inputs)


def match_states(config: MatchStatesConfig) -> MatchInside:
    """The term of `MatchStatesConfig`."""
    return MatchInside(config, _inside(config, STATES), _states)


def match_scores(config: MatchScoresConfig) -> MatchInside:
    """The term of `MatchScoresConfig`."""
    return MatchInside(config, _inside(config, _scores_of(config)), _scores)


def _inside(config: StateTermConfig, what: str) -> Wanted:
    return Wanted((), (), (f"{config.stack}/{what}",))


def _scores_of(config: MatchScoresConfig) -> str:
    return MEAN_SCORES if config.mean_over_heads else SCORES


def _directions(
    config: MatchDirectionConfig, outputs: Outputs, teacher: Outputs, batch: Batch
) -> Costs:
    ours, theirs = (each.hidden[config.stack].astype(jnp.float32) for each in (outputs, teacher))
    product = jnp.sum(ours * theirs, axis=-1)
    norms = jnp.sum(jnp.square(ours), axis=-1) * jnp.sum(jnp.square(theirs), axis=-1)
    return 1.0 - product / jnp.sqrt(jnp.maximum(norms, 1e-12))


def _inputs(config: MatchInputConfig, outputs: Outputs, teacher: Outputs, batch: Batch) -> Costs:
    ours, theirs = (each.inside[f"{config.stack}/{STATES}"][0] for each in (outputs, teacher))
    return jnp.mean(_squares(ours, theirs), axis=-1)


def _states(config: MatchStatesConfig, outputs: Outputs, teacher: Outputs, batch: Batch) -> Costs:
    ours, theirs = (each.inside[f"{config.stack}/{STATES}"][1:] for each in (outputs, teacher))
    theirs = theirs[_indices(config, ours, theirs)]
    return jnp.sum(jnp.mean(_squares(ours, theirs), axis=-1), axis=0)


def _scores(config: MatchScoresConfig, outputs: Outputs, teacher: Outputs, batch: Batch) -> Costs:
    name = f"{config.stack}/{_scores_of(config)}"
    ours, theirs = (each.inside[name] for each in (outputs, teacher))
    squares = _squares(ours, theirs[_indices(config, ours, theirs)])
    of_queries = jnp.sum(squares, axis=(0, -1))
    if not config.mean_over_heads:
        of_queries = jnp.mean(of_queries, axis=1)
    segments = counted_segments(batch, config)
    same = segments[:, :, None] == segments[:, None, :]
    return of_queries / jnp.sum(same, axis=-1)


def _indices(config: LayerTermConfig, ours: Array, theirs: Array) -> Array:
    return jnp.asarray(config.layers(len(ours), len(theirs))) - 1


def _squares(ours: Float[Array, "*shape"], theirs: Float[Array, "*shape"]) -> Array:
    return jnp.square(ours.astype(jnp.float32) - theirs.astype(jnp.float32))
