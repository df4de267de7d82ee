"""Attention by Pallas kernels in programs for TPUs; elsewhere `blockwise` computes the same."""

import functools

import jax
from jaxtyping import Array, Float

from t5x_lite.errors import UserError
from t5x_lite.model.attend import blockwise, tpu_kernels
from t5x_lite.model.attend.block_logits import Form, Heads, Inputs, of_layer
from t5x_lite.model.attend.blockwise import Kept, Softmax
from t5x_lite.model.attend.tpu_kernels import LANES
from t5x_lite.partitioning.constrain import over_shards

_HEADS = ("batch", None, "heads", None)
_STRIPS = ("heads", None, None)
_ROWS = ("batch", None)


def attend(form: Form, inputs: Inputs) -> Float[Array, "batch q_len heads head_dim"]:
    """What `dense.attend` gives, up to rounding, and its gradients; each device has its rows and
    heads.

    Raises:
        UserError: blocks do not fill lanes, or dropout draws noise for each query.
    """
    _check(form, inputs)
    leaves, tree = jax.tree.flatten(inputs)
    by_rank = {0: (), 1: _ROWS, 2: _ROWS, 3: _STRIPS, 4: _HEADS}
    run = over_shards(
        lambda *leaves: _attend(form, jax.tree.unflatten(tree, leaves)),
        tuple(by_rank[leaf.ndim] for leaf in leaves),
        _HEADS,
    )
    return run(*leaves)


def _check(form: Form, inputs: Inputs) -> None:
    if form.blocks.block % LANES:
        raise UserError(
            f"attention_block={form.blocks.block} with attention='pallas': needed is a multiple of "
            f"{LANES}, the lanes of a TPU: --gin.ComputeConfig.attention_block={4 * LANES}."
        )
    if inputs.noise is not None:
        raise UserError(
            "attention='pallas' with dropout of attention weights that differs from query to query "
            "(dropout_shared_along_length=False): the kernel draws no noise. Needed is "
            "--gin.ComputeConfig.attention='blockwise', --gin.DROPOUT_RATE=0.0, or noise that is "
            "shared: --gin.ModelConfig.dropout_shared_along_length=True."
        )


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _attend(form: Form, inputs: Inputs) -> Float[Array, "batch q_len heads head_dim"]:
    return _forward(form, inputs)[0]


def _forward(form: Form, inputs: Inputs) -> tuple[Heads, Kept]:
    mixed, softmax = of_layer(form, inputs.is_local, _forward_of, inputs)
    return mixed, (inputs, mixed, softmax)


def _forward_of(form: Form, inputs: Inputs) -> tuple[Heads, Softmax]:
    return jax.lax.platform_dependent(
        inputs,
        tpu=functools.partial(tpu_kernels.forward, form),
        default=functools.partial(blockwise.forward, form),
    )


def _backward(form: Form, kept: Kept, d_mixed: Heads) -> tuple[Inputs]:
    return of_layer(form, kept[0].is_local, _backward_of, kept, d_mixed)


def _backward_of(form: Form, kept: Kept, d_mixed: Heads) -> tuple[Inputs]:
    return jax.lax.platform_dependent(
        kept,
        d_mixed,
        tpu=functools.partial(tpu_kernels.backward, form),
        default=functools.partial(blockwise.backward, form),
    )


_attend.defvjp(_forward, _backward)
