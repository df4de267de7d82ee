"""T5.1.1-XXL, 11.1 billion parameters, on 256 chips: our programs, and T5X's of the same shapes.

T5X's (google-research/t5x with its scalable_t5) were compiled with jax 0.10.2 and libtpu 0.0.42.1
on 2 quiet cores, bfloat16 activations, float32 parameters over both axes, Adafactor. Bytes are of
the results that the text of the program writes, loops by their trips.
"""

import dataclasses
import functools
from collections.abc import Mapping

from benchmarks.pods.programs import Program


@dataclasses.dataclass(frozen=True)
class Reference:
    """T5X's program: gigabytes and TFLOP of one chip and one step."""

    peak: float
    tflop: float
    all_gather: float
    all_reduce: float
    permute: float


@dataclasses.dataclass(frozen=True)
class Row:
    """A program of the grid and, if there is one of its shape, T5X's."""

    program: Program
    reference: Reference | None = None


_xxl = functools.partial(Program, model="xxl", topology="v5e-256", batch_size=2048)

BLOCKS = {"ComputeConfig.attention": "blockwise", "ComputeConfig.attention_block": "256"}
# Of gin/runs/pods/xxl_v5e_256.gin: all products but wi_0's, with which the step would not fit.
_KEPT = "('query', 'key', 'value', 'out', 'wi_1')"

# Those first from which most is to be learned: one takes minutes.
GRID: Mapping[str, Row] = {
    "256x1_kept_1": Row(_xxl(remat=_KEPT)),
    "256x1_full_1": Row(_xxl(values=BLOCKS), Reference(3.4, 215, 149, 24, 0)),
    "64x4_sequence_minimal_2": Row(
        _xxl(
            num_partitions=4,
            remat="minimal",
            num_microbatches=2,
            meshes=("fully_sharded", "sequence"),
        )
    ),
    "32x8_sequence_minimal_2": Row(
        _xxl(
            num_partitions=8,
            remat="minimal",
            num_microbatches=2,
            meshes=("fully_sharded", "sequence"),
        )
    ),
    "two_slices_256x1_full_1": Row(_xxl(slices=2, meshes=("multislice", "fully_sharded"))),
    "32x8_minimal_2": Row(
        _xxl(num_partitions=8, remat="minimal", num_microbatches=2),
        Reference(15.1, 171, 79, 41, 11),
    ),
    "64x4_minimal_4": Row(
        _xxl(num_partitions=4, remat="minimal", num_microbatches=4),
        Reference(6.0, 171, 122, 44, 0),
    ),
    "32x8_full_1": Row(_xxl(num_partitions=8), Reference(10.3, 215, 47, 51, 5)),
    "32x8_minimal_4": Row(
        _xxl(num_partitions=8, remat="minimal", num_microbatches=4),
        Reference(7.9, 171, 122, 42, 23),
    ),
    "16x16_two_dimensional_full_1": Row(
        _xxl(num_partitions=16, meshes=("fully_sharded", "two_dimensional")),
        Reference(4.3, 215, 1181, 69, 86),
    ),
}
