"""What the backward pass finds in memory of a layer, and what it computes again."""

from collections.abc import Callable
from typing import Any

import jax
import jax.extend.core
from jax.ad_checkpoint import checkpoint_name
from jaxtyping import Array, Shaped

from t5x_lite.model.choices import KERNELS, Remat
from t5x_lite.model.compute_config import ComputeConfig
from t5x_lite.partitioning.constrain import num_pieces

_POLICIES = jax.checkpoint_policies


def named(x: Shaped[Array, "*shape"], name: str) -> Shaped[Array, "*shape"]:
    """`x`, which ComputeConfig.remat and .offload know by this name: a kernel's for its product, or
    one of RESIDUALS.
    """
    return checkpoint_name(x, name)


def rematerialized(run_layer: Callable, compute: ComputeConfig, *, unroll: int) -> Callable:
    """`run_layer` with what its backward pass should recompute, `unroll` layers at a time."""
    if compute.remat is Remat.NONE and num_pieces(("batch",)) == (1,):
        return run_layer
    # Inside a loop XLA cannot undo the recomputation; between unrolled layers it could.
    return jax.checkpoint(run_layer, policy=_policy(compute), prevent_cse=unroll > 1)


def _policy(compute: ComputeConfig) -> Callable:
    if compute.remat is Remat.NONE:
        return _all_but_what_travelled
    if compute.offload:
        return _POLICIES.save_and_offload_only_these_names(
            names_which_can_be_saved=[
                name for name in _kept(compute) if name not in compute.offload
            ],
            names_which_can_be_offloaded=list(compute.offload),
            offload_src="device",
            offload_dst="pinned_host",
        )
    named_ones = _POLICIES.save_only_these_names(*_kept(compute))
    if compute.remat is Remat.MINIMAL:
        # By name as well: what is made of copies of the encoder's output is a batched product.
        products = _POLICIES.dots_with_no_batch_dims_saveable
        return _POLICIES.save_from_both_policies(products, named_ones)
    return named_ones


def _kept(compute: ComputeConfig) -> tuple[str, ...]:
    if isinstance(compute.remat, Remat):
        return KERNELS if compute.remat is Remat.MINIMAL else ()
    return compute.remat


def _all_but_what_travelled(primitive: jax.extend.core.Primitive, *_: Any, **__: Any) -> bool:
    """Everything but casts and constraints: a kernel that was gathered for a product would be kept
    whole, for every layer, where it is split over the batch's axes to save memory.
    """
    return primitive.name not in ("convert_element_type", "sharding_constraint")
