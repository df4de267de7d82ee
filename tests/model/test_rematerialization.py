"""What a list of names keeps for the backward pass, and where."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import pytest
from jax.extend.core import jaxprs_in_params

from t5x_lite.errors import UserError
from t5x_lite.model import transformer
from t5x_lite.model.choices import Remat


def with_compute(config, **fields):
    return dataclasses.replace(config, compute=dataclasses.replace(config.compute, **fields))


def primitives(jaxpr):
    """All equations of a program, those of loops and calls too."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from primitives(inner)


def test_full_remat_keeps_less_than_none(tiny, parameters_of, examples_of, unpacked):
    """What remat is for: bytes kept for the backward pass."""
    config = tiny()
    batch, parameters = unpacked(config, examples_of(config)), parameters_of(config)

    def kept(remat):
        apply = functools.partial(transformer.apply, with_compute(config, remat=remat))
        backward = jax.eval_shape(
            lambda p, b: jax.vjp(lambda p: apply(p, b), p)[1], parameters, batch
        )
        return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(backward))

    assert kept(Remat.FULL) < kept(("out",)) < kept(Remat.MINIMAL) < kept(Remat.NONE)
    # What is named is kept: of a layer's products only wo's is of no use to the backward pass.
    named = tuple(name for name in config.decoder.block.kernels if name != "wo")
    assert kept(named) == kept(Remat.MINIMAL)


def test_what_is_offloaded_waits_in_the_memory_of_the_host(
    tiny, parameters_of, examples_of, unpacked
):
    """One transfer there and one back for each name and stack, and none if nothing is named."""
    config = tiny()
    batch, parameters = unpacked(config, examples_of(config)), parameters_of(config)

    def transfers(**fields):
        def total(parameters, batch):
            model = with_compute(config, **fields)
            return jnp.sum(transformer.logits(model, parameters, batch))

        equations = primitives(jax.make_jaxpr(jax.grad(total))(parameters, batch).jaxpr)
        return [e for e in equations if e.primitive.name == "device_put"]

    stacks = 2
    assert len(transfers(remat=Remat.FULL, offload=("layer_input",))) == 2 * stacks
    assert not transfers(remat=Remat.FULL)


def test_names_that_no_layer_has_are_refused(tiny):
    """A gated layer has wi_0 and wi_1: a list with wi alone would keep nothing of it in silence."""
    gated = tiny(family="t5_1_1")
    with pytest.raises(UserError, match=r"remat=.*no 'wi'.*wi_0"):
        with_compute(gated, remat=("wi",))
    with pytest.raises(UserError, match=r"offload=.*no 'layer_inputs'.*'layer_input'"):
        with_compute(gated, remat=Remat.FULL, offload=("layer_inputs",))
    with pytest.raises(UserError, match=r"offload=.*remat='none'"):
        with_compute(gated, offload=("layer_input",))
