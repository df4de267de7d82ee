"""FLOPs of products: 2 for each multiplication that falls on data.

TPU programs write most products as convolutions, batched ones with a window over the batch and
padding where nothing is multiplied, so a window's positions are counted one by one.
"""

import dataclasses
import math
import re
from collections.abc import Sequence

from t5x_lite.planning.hlo import Computation, Instruction

_CONTRACTED = re.compile(r"lhs_contracting_dims=\{([\d,]*)\}")
_LABELS = re.compile(r"dim_labels=(\w+)_(\w+)->(\w+)")
_WINDOW = re.compile(r"window=\{([^}]*)\}")
_FIELD = re.compile(r"(\w+)=([\dx_\-]+)")


def product_flops(instruction: Instruction, computation: Computation) -> int:
    """FLOPs of one dot or convolution; none of any other instruction."""
    if instruction.opcode == "dot":
        return _dot(instruction, computation)
    if instruction.opcode == "convolution":
        return _convolution(instruction, computation)
    return 0


def _dot(instruction: Instruction, computation: Computation) -> int:
    left = computation.shapes(instruction.operands[0])[0].dims
    contracted = _CONTRACTED.search(instruction.attributes)
    axes = [int(axis) for axis in contracted[1].split(",") if axis] if contracted else []
    return 2 * math.prod(instruction.shapes[0].dims) * math.prod(left[axis] for axis in axes)


@dataclasses.dataclass(frozen=True)
class _Window:
    """How an axis of a kernel passes over that of the data, as in XLA's WindowDimension."""

    size: int
    stride: int = 1
    pad: int = 0
    lhs_dilation: int = 1
    rhs_dilation: int = 1

    def multiplications(self, data: int, outputs: int) -> int:
        """How often a position of the kernel meets one of the data, over all outputs."""
        starts = (position * self.rhs_dilation - self.pad for position in range(self.size))
        if self.stride == self.lhs_dilation == 1:
            return sum(max(0, min(outputs, data - at) - max(0, -at)) for at in starts)
        return sum(
            (place := output * self.stride + at) >= 0
            and place % self.lhs_dilation == 0
            and place // self.lhs_dilation < data
            for at in starts
            for output in range(outputs)
        )


def _convolution(instruction: Instruction, computation: Computation) -> int:
    data, kernel = (computation.shapes(name)[0].dims for name in instruction.operands[:2])
    labels = _LABELS.search(instruction.attributes)
    if labels is None:
        raise ValueError(f"the convolution {instruction.name} does not say dim_labels")
    of_data, of_kernel, of_output = labels.groups()
    output = dict(zip(of_output, instruction.shapes[0].dims))
    # The kernel's input features are those of one group already.
    flops = 2 * output["b"] * output["f"] * dict(zip(of_kernel, kernel))["i"]
    axes = [label for label in of_output if label.isdigit()]
    for axis, window in zip(sorted(axes, key=int), _windows(instruction.attributes, len(axes))):
        flops *= window.multiplications(data[of_data.index(axis)], output[axis])
    return flops


def _windows(attributes: str, num_axes: int) -> list[_Window]:
    found = _WINDOW.search(attributes)
    fields = dict(_FIELD.findall(found[1])) if found else {}

    def field(name: str, default: int) -> Sequence[int]:
        text = fields.get(name)
        # Of low_high padding the low one says where the kernel begins.
        return [int(n.split("_")[0]) for n in text.split("x")] if text else [default] * num_axes

    return [
        _Window(*numbers)
        for numbers in zip(
            field("size", 1),
            field("stride", 1),
            field("pad", 0),
            field("lhs_dilate", 1),
            field("rhs_dilate", 1),
        )
    ]
