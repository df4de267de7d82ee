"""What compilers are asked for: nothing that they do not know."""

import jax
import jax.numpy as jnp
import pytest

from t5x_lite.partitioning import compiler_options


def _compiled(options):
    product = jax.jit(lambda x, kernel: x @ kernel, compiler_options=options)
    return product.lower(jnp.ones((4, 64)), jnp.ones((64, 256))).compile().as_text()


def test_products_of_few_rows_leave_ynnpack():
    if "__ynn_fusion" not in _compiled({}):
        pytest.skip("the compiler does not call YNNPACK on this processor")
    assert "__ynn_fusion" not in _compiled(dict(compiler_options.of_decoding("cpu", few_rows=True)))


@pytest.mark.parametrize(("platform", "few_rows"), [("cpu", False), ("cuda", True), ("tpu", True)])
def test_other_programs_that_decode_are_left_alone(platform, few_rows):
    assert not compiler_options.of_decoding(platform, few_rows=few_rows)


def test_an_option_that_jaxlib_does_not_know_is_not_given(monkeypatch):
    monkeypatch.setattr(compiler_options, "_FEW_ROWS", {"xla_of_another_jaxlib": ""})
    assert not compiler_options.of_decoding("cpu", few_rows=True)


def test_training_asks_only_the_tpu_compiler():
    assert compiler_options.of_training("tpu")
    assert not compiler_options.of_training("cpu")
