"""Decoding of many examples in a pool of a few: one that has ended makes room for the next, so none
waits for the longest answer of its batch (continuous batching: Yu et al. 2022, Orca).

The pool of one width is one program: it reads some new examples, puts what the model remembers of
them into free places, and writes tokens until there is room for as many again.
"""

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from t5x_lite.decoding import search as searches
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.decoding.language_model import Decoded
from t5x_lite.decoding.refinement import Refinement
from t5x_lite.decoding.search import State
from t5x_lite.inference.ensemble import Caches, Ensemble
from t5x_lite.inference.generate import decoder_for, examples_of, options_for
from t5x_lite.model import transformer
from t5x_lite.partitioning.partitioner import Partitioner

# A pool takes up new examples when so many of its places are free: reading a few together is not
# much slower than reading one, and a place that is empty costs what a full one does.
_REFILLED = 1 / 8


class Pool(NamedTuple):
    """What is decoded: a state and a memory for each place, numbered -1 where it is empty."""

    state: State
    caches: Caches


Prompts = Mapping[str, np.ndarray]
# What the models read of some examples, as a batch of so many rows, and their numbers.
PromptsOf = Callable[[Sequence[int], int], Prompts]


@dataclasses.dataclass(frozen=True)
class Refill:
    """The program of pools of `places` that take up at most `taken` examples at a time.

    `run` is a function of the networks or parameters, a pool that it uses up, prompts, the place of
    each, and how many examples may be left unfinished; it gives the pool, which of them are
    finished, and `Decoded`.
    """

    places: int
    taken: int
    empty: Callable[[], Pool]
    run: Callable[..., tuple[Pool, Bool[Array, "places"], Decoded]]

    def answers(
        self,
        order: Sequence[int],
        prompts_of: PromptsOf,
        place_batch: Callable[[Prompts], Mapping[str, Array]],
        given: Any,
    ) -> Iterator[tuple[list[int], list[int], Decoded]]:
        """Examples that have ended, their rows among the outputs, and these; those that come first
        in `order` are begun first.
        """
        waiting, free = deque(order), list(range(self.places))
        held: dict[int, int] = {}
        pool = self.empty()
        while waiting or held:
            taken = [waiting.popleft() for _ in range(min(self.taken, len(free), len(waiting)))]
            where = np.full(self.taken, self.places, np.int32)
            for row, example in enumerate(taken):
                where[row] = free.pop()
                held[int(where[row])] = example
            pool, finished, decoded = self.run(
                given,
                pool,
                place_batch(prompts_of(taken, self.taken)),
                where,
                np.int32(self._left(len(free), is_more=bool(waiting))),
            )
            ended = [place for place in np.flatnonzero(finished).tolist() if place in held]
            if ended:
                yield [held.pop(place) for place in ended], ended, decoded
                free += ended

    def _left(self, free: int, *, is_more: bool) -> int:
        """How many examples may be unfinished when the program comes back."""
        if not is_more:
            return 0
        return self.places if free >= self.taken else self.places - self.taken


def make_refill(
    models: Ensemble,
    decoding: DecodingConfig,
    *,
    partitioner: Partitioner,
    given: Any,
    shardings: Any,
    first_sentinel: int | None,
    batch_size: int,
    prompts_of: PromptsOf,
) -> Refill:
    """The pools of one width.

    Args:
        given, shardings: as `make_generate` is given them.
        batch_size: places of a pool, as many as the devices divide.
        prompts_of: of this width.

    Raises:
        UserError: see `decoder_for`.
    """
    search = decoder_for(models, decoding, first_sentinel)
    assert not isinstance(search, Refinement), "whole targets are improved in batches"
    taken = partitioner.filled_batch_size(int(batch_size * _REFILLED))

    def begun(given: Any, prompts: Mapping[str, Array]) -> Pool:
        networks = given if shardings is None else models.prepare(given)
        logits, caches = models.start(
            networks, prompts, max_decode_length=decoding.max_decode_length
        )
        model, examples = models.language_model(networks), examples_of(prompts)
        return Pool(*searches.begin(search, logits, caches, model, examples=examples))

    def placed(function: Callable) -> Callable:
        def run(*arguments: Any) -> Any:
            with partitioner.activations():
                return function(*arguments)

        return run

    def run(
        given: Any,
        pool: Pool,
        prompts: Mapping[str, Array],
        where: Int[Array, "taken"],
        left: Int[Array, ""],
    ) -> tuple[Pool, Bool[Array, "places"], Decoded]:
        networks = given if shardings is None else models.prepare(given)
        new = begun(given, prompts)
        state = jax.tree.map(
            lambda old, own: old.at[where].set(own, mode="drop"), pool.state, new.state
        )
        caches = models.put(pool.caches, new.caches, where)
        pool = Pool(
            *searches.run(search, state, caches, models.language_model(networks), left=left)
        )
        return pool, search.finished(pool.state), search.result(pool.state)

    shapes = jax.eval_shape(placed(begun), given, prompts_of([], batch_size))
    pools, whole = _shardings(shapes, partitioner), partitioner.sharding(())
    return Refill(
        batch_size,
        taken,
        jax.jit(lambda: _empty(shapes), out_shardings=pools),
        jax.jit(
            placed(run),
            in_shardings=(shardings, pools, partitioner.batch_sharding, whole, whole),
            out_shardings=(pools, whole, whole),
            donate_argnums=1,
            compiler_options=options_for(decoding, partitioner),
        ),
    )


def _empty(shapes: Pool) -> Pool:
    pool = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
    examples = pool.state.examples
    nobody = examples._replace(indices=jnp.full_like(examples.indices, -1))
    return pool._replace(state=pool.state._replace(examples=nobody))


def _shardings(shapes: Pool, partitioner: Partitioner) -> Pool:
    """Where a pool lies between two calls: the same place each time, or each would be compiled
    again.
    """
    state = jax.tree.map(lambda _: partitioner.batch_sharding, shapes.state)
    caches = jax.tree.map(
        lambda shape, axes: partitioner.fitting(axes, shape.shape),
        shapes.caches,
        tuple(transformer.cache_axes(cache) for cache in shapes.caches),
    )
    return Pool(state, caches)
