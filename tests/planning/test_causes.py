"""What is said of why a collective is there."""

import pytest

from t5x_lite.planning.cost import analyse

_REDUCE = "f32[4,2] all-reduce({}), replica_groups=[4,2]<=[8], to_apply=%add"
_ARGUMENTS = (
    "%x = f32[4,8] parameter(0), metadata={op_name=\"batch['x']\"}",
    "%w = f32[8,2] parameter(1), metadata={op_name=\"state.parameters['out']['kernel']\"}",
    "%e = f32[4,8] exponential(%x)",
)
_DOT = "lhs_contracting_dims={1}, rhs_contracting_dims={0}"


def _cause(module, mesh):
    (found,) = analyse(module, mesh=mesh).collectives
    return found.cause


def _traced(op_name):
    return f'metadata={{op_name="{op_name}"}}'


def test_a_product_is_named_by_the_argument_it_was_made_with(entry, mesh):
    module = entry(
        *_ARGUMENTS,
        f"%dot = f32[4,2] dot(%e, %w), {_DOT}",
        "%neg = f32[4,2] negate(%dot)",
        f"ROOT %r = {_REDUCE.format('%neg')}, {_traced('jit(f)/dot_general')}",
    )
    assert str(_cause(module, mesh)) == "forward: product with out/kernel"


def test_halves_that_were_joined_are_their_argument(entry, mesh):
    """The TPU compiler joins them as the larger of both, padded with -inf."""
    module = entry(
        *_ARGUMENTS,
        "%inf = f32[] constant(-inf)",
        "%half = f32[4,2] slice(%w), slice={[0:4], [0:2]}",
        "%low = f32[8,2] pad(%half, %inf), padding=0_4x0_0",
        "%wide = f32[8,2] convert(%low)",
        "%high = f32[8,2] pad(%half, %inf), padding=4_0x0_0",
        "%whole = f32[8,2] maximum(%wide, %high)",
        "ROOT %r = f32[8,4] all-gather(%whole), replica_groups=[4,2]<=[8]",
    )
    assert _cause(module, mesh).argument == "out/kernel"


def test_what_was_made_of_an_argument_is_another_value(entry, mesh):
    module = entry(*_ARGUMENTS, "ROOT %r = f32[4,16] all-gather(%e), replica_groups=[4,2]<=[8]")
    assert _cause(module, mesh).argument == ""


@pytest.mark.parametrize(
    ("op_name", "phase"),
    [
        ("jit(step)/jvp()/while/body/tanh", "forward"),
        ("jit(step)/transpose(jvp())/while/body/tanh", "backward"),
        ("jit(step)/transpose(jvp())/checkpoint/rematted_computation/tanh", "recomputation"),
        ("jit(step)/sqrt", "optimizer"),
    ],
)
def test_phases_of_a_training_step(entry, mesh, op_name, phase):
    module = entry(
        *_ARGUMENTS,
        f"%b = f32[4,8] negate(%e), {_traced('jit(step)/transpose(jvp())/neg')}",
        f"ROOT %r = {_REDUCE.format('%e')}, {_traced(op_name)}",
    )
    assert _cause(module, mesh).phase == phase


def test_a_program_without_gradients_is_all_forward(entry, mesh):
    line = f"ROOT %r = {_REDUCE.format('%e')}, {_traced('jit(decode)/tanh')}"
    assert str(_cause(entry(*_ARGUMENTS, line), mesh)) == "forward: tanh"


def test_a_collective_that_was_not_traced_is_where_its_operand_was(entry, mesh):
    module = entry(
        *_ARGUMENTS,
        f"%n = f32[4,8] negate(%e), {_traced('jit(step)/transpose(jvp())/neg')}",
        "%c = f32[4,8] copy(%n)",
        f"ROOT %r = {_REDUCE.format('%c')}",
    )
    assert str(_cause(module, mesh)) == "backward: neg"
