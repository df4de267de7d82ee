"""Lines of HLO text, read as what they are."""

import pytest

from t5x_lite.planning import hlo
from t5x_lite.planning.provenance import argument_name
from t5x_lite.planning.shapes import Shape, shapes_of


def test_a_line_is_an_instruction(entry):
    module = entry(
        "%p.1 = f32[4,8]{1,0:T(8,128)} parameter(0), "
        "metadata={op_name=\"state.parameters[\\'a\\']\"}",
        "ROOT %fusion.2 = (bf16[4]{0:T(256)(2,1)S(1)}, /*index=1*/u32[]{:S(2)}) "
        "fusion(%p.1, /*index=1*/%p.1), kind=kLoop, calls=%inside.3, "
        'metadata={op_name="jit(f)/mul" stack_frame_id=12}, backend_config={"a":"(b)"}',
    )
    root = module.entry.root
    assert (root.name, root.opcode, root.operands) == ("fusion.2", "fusion", ("p.1", "p.1"))
    assert root.shapes == (Shape("bf16", (4,), memory_space=1), Shape("u32", (), memory_space=2))
    assert root.called == {"calls": ("inside.3",)}
    assert (root.op_name, root.stack_frame) == ("jit(f)/mul", 12)
    assert module.entry.parameters[0].op_name == "state.parameters['a']"


def test_operands_may_be_written_with_their_types(entry):
    module = entry(
        "%p = f32[4]{0:T(128)} parameter(0)",
        "ROOT %add = f32[4]{0:T(128)} add(f32[4]{0:T(128)} %p, f32[4]{0:T(128)} %p), "
        "sharding={replicated}",
    )
    assert module.entry.root.operands == ("p", "p")
    assert "replicated" in module.entry.root.attributes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("bf16[2,3]{1,0:T(8,128)(2,1)}", 12),
        ("pred[7]", 7),
        ("s4[3]", 2),
        ("f8e4m3fn[5]{0}", 5),
        ("c64[]", 8),
        ("s32[<=4,2]", 32),
        ("token[]", 0),
    ],
)
def test_bytes_are_those_of_the_dtype(text, size):
    (shape,) = shapes_of(text)
    assert shape.size == shape.hbm_size == size


def test_what_is_not_in_hbm_takes_none_of_it():
    vmem, host = shapes_of("(f32[2]{0:T(128)S(1)}, f32[2]{0:S(5)})")
    assert vmem.hbm_size == host.hbm_size == 0
    assert vmem.size == 8


def test_a_part_of_a_program_is_refused():
    with pytest.raises(ValueError, match="ENTRY"):
        hlo.parse("%f (p: f32[]) -> f32[] {\n  ROOT %p = f32[] parameter(0)\n}\n")


@pytest.mark.parametrize("shift", [0, 1])
def test_a_stack_is_the_same_however_callers_are_numbered(shift):
    """Some versions of XLA write each caller's key plus one."""
    frames = "".join(
        f"{key} {{file_location_id={key} parent_frame_id={key - 1 + shift}}}\n" for key in (1, 2, 3)
    )
    text = (
        'HloModule m\n\nFunctionNames\n1 "step"\n2 "MLP.__call__"\n3 "Linear.__call__"\n\n'
        "FileLocations\n"
        + "".join(f"{n} {{file_name_id=1 function_name_id={n} line=1}}\n" for n in (1, 2, 3))
        + f"\nStackFrames\n{frames}\n\nENTRY %main (p: f32[]) -> f32[] {{\n"
        "  ROOT %p = f32[] parameter(0)\n}\n"
    )
    frames = hlo.parse(text).frames
    assert frames.stack(3) == ("step", "MLP.__call__", "Linear.__call__")
    assert frames.stack(None) == frames.stack(9) == ()


@pytest.mark.parametrize(
    ("op_name", "name"),
    [
        ("state.parameters['encoder']['scale']", "encoder/scale"),
        ("state.optimizer_state['step']", "optimizer_state/step"),
        ("batch['inputs']", "batch/inputs"),
        ("parameters['a'][0]", "a/0"),
        ("ws", "ws"),
    ],
)
def test_arguments_have_their_paths(op_name, name):
    assert argument_name(op_name) == name
