"""All of partitioning that a model sees: where an activation lives, how it is split, what is a
device's own, and what kind of device that is.

A model says `x = constrain(x, ("batch", "length", "embed"))`. Without a partitioner that is `x`.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
from jaxtyping import Array, Shaped

from t5x_lite.errors import UserError
from t5x_lite.partitioning import rules

Axes = tuple[str | None, ...]

ShardingOf = Callable[[Axes], jax.sharding.NamedSharding]


class _Active(NamedTuple):
    sharding_of: ShardingOf | None
    platform: str


_ACTIVE: contextvars.ContextVar[_Active | None] = contextvars.ContextVar("active", default=None)


def constrain(x: Shaped[Array, "..."], axes: Axes) -> Shaped[Array, "..."]:
    """Places `x` where the rules put its logical axes, if a partitioner is active at trace time."""
    sharding_of = _sharding_of()
    if sharding_of is None:
        return x
    if x.ndim != len(axes):
        raise UserError(
            f"an activation of shape {x.shape} was given the logical axes {axes}: needed is one "
            "name (or None) per dimension."
        )
    return jax.lax.with_sharding_constraint(x, _fitting(sharding_of(axes), x.shape))


def _sharding_of() -> ShardingOf | None:
    active = _ACTIVE.get()
    return None if active is None else active.sharding_of


def _fitting(sharding: jax.sharding.NamedSharding, shape: tuple[int, ...]) -> jax.sharding.Sharding:
    """The sharding without splits of dimensions that have fewer elements than pieces, such as the
    length of one token that is decoded; all others XLA fills up where they do not divide.
    """
    entries = [
        entry if size >= rules.num_pieces(entry, sharding.mesh.shape) else None
        for size, entry in zip(shape, sharding.spec, strict=True)
    ]
    return jax.sharding.NamedSharding(sharding.mesh, jax.sharding.PartitionSpec(*entries))


def num_pieces(axes: Axes) -> tuple[int, ...]:
    """Into how many pieces `constrain` splits each dimension: 1 without a partitioner."""
    sharding_of = _sharding_of()
    if sharding_of is None:
        return (1,) * len(axes)
    sharding = sharding_of(axes)
    return tuple(rules.num_pieces(entry, sharding.mesh.shape) for entry in sharding.spec)


def platform() -> str:
    """What runs that which is traced here, "cpu" or "tpu": the devices of the active partitioner's
    mesh, which may be elsewhere, else JAX's own.
    """
    active = _ACTIVE.get()
    return jax.default_backend() if active is None else active.platform


def is_one_cpu() -> bool:
    """Whether that which is traced here runs on one CPU device, where any slice is local."""
    sharding_of = _sharding_of()
    return platform() == "cpu" and (sharding_of is None or sharding_of(()).mesh.size == 1)


def over_shards(
    function: Callable[..., Array], in_axes: tuple[Axes, ...], out_axes: Axes
) -> Callable[..., Array]:
    """`function` run by each device on its own part of arrays with these logical axes, for what the
    compiler cannot split by itself. Without a partitioner that is `function`.

    Raises:
        UserError: when called, if an array does not split evenly.
    """
    sharding_of = _sharding_of()
    if sharding_of is None:
        return function
    shardings = [sharding_of(axes) for axes in in_axes]
    mesh = shardings[0].mesh
    sharded = jax.shard_map(
        function,
        mesh=mesh,
        in_specs=tuple(sharding.spec for sharding in shardings),
        out_specs=sharding_of(out_axes).spec,
        # Custom gradients and kernels do not say over which axes their results vary.
        check_vma=False,
    )

    def checked(*arrays: Array) -> Array:
        for x, axes, sharding in zip(arrays, in_axes, shardings, strict=True):
            for problem in rules.indivisible(axes, x.shape, sharding.spec, mesh.shape):
                raise UserError(problem)
        return sharded(*arrays)

    return checked


@contextlib.contextmanager
def constraints(sharding_of: ShardingOf | None, platform: str) -> Iterator[None]:
    """Makes `constrain` use these shardings, and `platform` this name, for what is traced inside;
    None splits nothing, as in a program of one device that is exported.

    Enter it inside the function given to jax.jit: the cache of jit does not know of it.
    """
    token = _ACTIVE.set(_Active(sharding_of, platform))
    try:
        yield
    finally:
        _ACTIVE.reset(token)
