"""Bytes through HBM of single instructions."""

import pytest

from t5x_lite.planning.traffic import hbm_bytes

_LARGE = "f32[100,8]{1,0:T(8,128)}"
_ON_CHIP = "f32[100,8]{1,0:T(8,128)S(1)}"
_HALF = "bf16[100,8]{1,0:T(8,128)(2,1)}"
_ROW = "f32[1,8]{1,0:T(8,128)}"


def _bytes(entry, line, *, large=_LARGE, before=""):
    module = entry(
        f"%large = {large} parameter(0)",
        f"%row = {_ROW} parameter(1)",
        "%i = s32[] parameter(2)",
        f"ROOT %r = {line}",
        before=before,
    )
    own = [shape.size for name in ("i",) for shape in module.entry.shapes(name)]
    assert own == [4]
    return hbm_bytes(module.entry.root, module.entry, module)


@pytest.mark.parametrize(
    ("line", "size"),
    [
        (f"{_LARGE} add(%large, %large)", 3 * 3200),
        (f"{_ROW} dynamic-slice(%large, %i, %i), dynamic_slice_sizes={{1,8}}", 2 * 32),
        (f"{_LARGE} dynamic-update-slice(%large, %row, %i, %i)", 2 * 32),
        (f"{_LARGE} bitcast(%large)", 0),
        (f"({_LARGE}, {_ROW}) tuple(%large, %row)", 0),
        (f"({_ON_CHIP}, {_LARGE}, u32[]{{:S(2)}}) copy-start(%large)", 3200),
        (f"(({_LARGE}), f32[1,8]{{1,0:S(1)}}, s32[]{{:S(2)}}) slice-start(%large)", 32),
        (f"{_ON_CHIP} copy-done(%large)", 0),
        (f'{_LARGE} custom-call(%large), custom_call_target="ConcatBitcast"', 0),
        ("f32[200,8] all-gather(%large), replica_groups={{0,1}}", 3200 + 6400),
    ],
)
def test_an_instruction_reads_its_operands_and_writes_its_result(entry, line, size):
    assert _bytes(entry, line) == size


def test_what_is_on_the_chip_is_free(entry):
    assert _bytes(entry, f"{_ON_CHIP} add(%large, %large)", large=_ON_CHIP) == 0
    assert _bytes(entry, f"{_LARGE} add(%large, %large)", large=_ON_CHIP) == 3200


def _fused(*lines, result):
    """A fusion of %a (large), %b (a row) and %n (a number)."""
    inside = "\n".join(f"  {line}" for line in lines)
    return (
        f"{result} fusion(%large, %row, %i), kind=kLoop, calls=%f",
        f"%f (a: f32[], b: f32[], n: s32[]) -> f32[] {{\n  %a = {_LARGE} parameter(0)\n"
        f"  %b = {_ROW} parameter(1)\n  %n = s32[] parameter(2)\n{inside}\n}}\n",
    )


_SLICE = "dynamic-slice(%{}, %n, %n), dynamic_slice_sizes={{1,8}}"


@pytest.mark.parametrize(
    ("lines", "result", "size"),
    [
        # All of it, the row, and a large result.
        ([f"ROOT %y = {_LARGE} add(%a, %b)", "%u = s32[] negate(%n)"], _LARGE, 6400 + 32 + 4),
        # A slice of it and of its padded copy: the values between stay on the chip.
        (
            [
                f"%s = {_ROW} {_SLICE.format('a')}",
                "%p = f32[100,16] pad(%a, %b), padding=0_0x0_8",
                "%t = f32[1,16] dynamic-slice(%p, %n, %n), dynamic_slice_sizes={1,16}",
                f"%v = {_ROW} slice(%t), slice={{[0:1], [0:8]}}",
                f"ROOT %y = {_ROW} add(%s, %v)",
            ],
            _ROW,
            32 + 32 + 32 + 4 + 32,
        ),
        # Updated in place: the row is read and written.
        (
            [
                f"%y = {_LARGE} dynamic-update-slice(%a, %b, %n, %n)",
                f"ROOT %z = {_LARGE} bitcast(%y)",
            ],
            _LARGE,
            32 + 4 + 32,
        ),
        # Converted whole.
        (
            [f"ROOT %y = {_HALF} convert(%a)", "%z = s32[] negate(%n)", "%u = f32[1,8] negate(%b)"],
            _HALF,
            3200 + 32 + 4 + 1600,
        ),
        # A sum that began elsewhere goes on beside; one of its own is read and written.
        (
            [
                f'%s = {_LARGE} all-reduce(%a), frontend_attributes={{chain_id="1"}}',
                f"%y = {_ROW} negate(%b)",
                "%u = s32[] negate(%n)",
                f"ROOT %t = ({_LARGE}, {_ROW}) tuple(%s, %y)",
            ],
            f"({_LARGE}, {_ROW})",
            32 + 4 + 32,
        ),
        (
            [
                f"%s = {_LARGE} all-reduce(%a)",
                f"%y = {_ROW} negate(%b)",
                "%u = s32[] negate(%n)",
                f"ROOT %t = ({_LARGE}, {_ROW}) tuple(%s, %y)",
            ],
            f"({_LARGE}, {_ROW})",
            6400 + 32 + 4 + 32,
        ),
        # One output is an operand handed on.
        (
            [
                f"%y = {_ROW} negate(%b)",
                "%u = s32[] negate(%n)",
                f"ROOT %t = ({_LARGE}, {_ROW}) tuple(%a, %y)",
            ],
            f"({_LARGE}, {_ROW})",
            32 + 4 + 32,
        ),
    ],
)
def test_a_fusion_reads_what_it_uses(entry, lines, result, size):
    line, before = _fused(*lines, result=result)
    assert _bytes(entry, line, before=before) == size
