"""FLOPs of products however the compiler writes them."""

import numpy as np
import pytest

from t5x_lite.planning.execution import Execution
from t5x_lite.planning.loops import loop_of

_P = ("%a = bf16[4,10,8]{2,1,0} parameter(0)", "%b = bf16[4,8,6]{2,1,0} parameter(1)")


def _flops(module):
    return Execution(module).flops_of(module.entry)


@pytest.mark.parametrize(
    "product",
    [
        "bf16[4,10,6] dot(%a, %b), lhs_batch_dims={0}, lhs_contracting_dims={2}, "
        "rhs_batch_dims={0}, rhs_contracting_dims={1}",
        # The batch is a spatial axis: dilated data and a stride of 3 meet each kernel once.
        "bf16[4,10,6] convolution(%a, %b), window={size=4 stride=3 pad=0_0 lhs_dilate=4}, "
        "dim_labels=0bf_0io->0bf",
    ],
)
def test_a_batched_product_costs_the_same_as_dot_and_as_convolution(entry, product):
    assert _flops(entry(*_P, f"ROOT %c = {product}")) == 2 * 4 * 10 * 8 * 6


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("pad", [0, 2, 3])
def test_only_what_falls_on_data_is_multiplied(entry, stride, dilation, pad):
    """Against a count of each position, written out."""
    data, kernel = 7, 4
    spread = np.zeros((data - 1) * dilation + 1)
    spread[::dilation] = 1
    padded = np.pad(spread, pad)
    starts = range(0, len(padded) - kernel + 1, stride)
    expected = sum(padded[start : start + kernel].sum() for start in starts)
    module = entry(
        f"%a = f32[2,{data},3] parameter(0)",
        f"%b = f32[{kernel},3,5] parameter(1)",
        f"ROOT %c = f32[2,{len(starts)},5] convolution(%a, %b), window={{size={kernel} "
        f"stride={stride} pad={pad}_{pad} lhs_dilate={dilation}}}, dim_labels=b0f_0io->b0f",
    )
    assert _flops(module) == 2 * 2 * 3 * 5 * expected


_WHILE = "ROOT %w = (s32[], f32[2,2]) while(%t), condition=%cond, body=%body"


def _loop(bound, stride, told=""):
    return (
        f"""\
%body (t.1: (s32[], f32[2,2])) -> (s32[], f32[2,2]) {{
  %t.1 = (s32[], f32[2,2]) parameter(0)
  %i = s32[] get-tuple-element(%t.1), index=0
  %x = f32[2,2] get-tuple-element(%t.1), index=1
  %stride = s32[] constant({stride})
  %next = s32[] add(%i, %stride)
  %y = f32[2,2] dot(%x, %x), lhs_contracting_dims={{1}}, rhs_contracting_dims={{0}}
  ROOT %r = (s32[], f32[2,2]) tuple(%next, %y)
}}
%cond (t.2: (s32[], f32[2,2])) -> pred[] {{
  %t.2 = (s32[], f32[2,2]) parameter(0)
  %j = s32[] get-tuple-element(%t.2), index=0
  %bound = s32[] {bound}
  ROOT %less = pred[] compare(%j, %bound), direction=LT
}}
""",
        _WHILE + told,
    )


@pytest.mark.parametrize(
    ("begin", "bound", "stride", "told", "trips"),
    [
        (0, "constant(6)", 1, "", 6),
        (0, "constant(6)", 2, "", 3),
        (0, "constant(7)", 2, "", 4),
        # A trip was peeled off.
        (1, "constant(6)", 1, "", 5),
        (0, "constant(6)", 1, ', backend_config={"known_trip_count":{"n":"9"}}', 9),
        (0, "get-tuple-element(%t.2), index=0", 1, "", None),
    ],
)
def test_a_loop_counts_by_its_trips(entry, begin, bound, stride, told, trips):
    before, line = _loop(bound, stride, told)
    module = entry(
        f"%begin = s32[] constant({begin})",
        "%copy = s32[] copy(%begin)",
        "%x = f32[2,2] parameter(0)",
        "%t = (s32[], f32[2,2]) tuple(%copy, %x)",
        line,
        before=before,
    )
    assert _flops(module) == (trips or 1) * 2 * 2 * 2 * 2
    loop = loop_of(module.entry.root, module.entry, module)
    assert (loop.trips, loop.is_known) == (trips or 1, trips is not None)


def test_of_branches_the_costliest_counts(entry):
    branches = "".join(
        f"%{name} (x: f32[{n},{n}]) -> f32[{n},{n}] {{\n  %x = f32[{n},{n}] parameter(0)\n"
        f"  ROOT %d = f32[{n},{n}] dot(%x, %x), lhs_contracting_dims={{1}}\n}}\n"
        for name, n in (("small", 2), ("large", 4))
    )
    module = entry(
        "%i = s32[] parameter(0)",
        "%x = f32[4,4] parameter(1)",
        "ROOT %c = f32[4,4] conditional(%i, %x, %x), branch_computations={%small, %large}",
        before=branches,
    )
    assert _flops(module) == 2 * 4**3
