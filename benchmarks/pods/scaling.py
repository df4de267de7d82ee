"""How cost grows: with the model and the chip, with chips (weak and strong scaling), with length.

All programs are of one kind, so that one thing differs at a time: parameters over all chips of a
slice, remat full, attention by blocks.
"""

import dataclasses
from collections.abc import Mapping

from benchmarks.pods.grid import BLOCKS
from benchmarks.pods.programs import Program

# Rows that a chip computes at a time, where there are enough of them.
_ROWS = 16
_MOST_ROWS = 64
_LARGEST_SLICE = 256
# Chips and rows of a chip for each size: the least power of 4 of v5e chips with room to spare.
_SIZES = {"base": (16, _ROWS), "large": (16, _ROWS), "xl": (64, 8), "xxl": (256, 8)}
_CHIPS = (4, 16, 64, 256, 1024)
_STRONG_BATCH = 1024
_LENGTHS = (512, 2048, 8192)


def _program(model: str, chip: str, chips: int, batch_size: int, **values: str) -> Program:
    slices = max(chips // _LARGEST_SLICE, 1)
    counted = chips // slices * (2 if chip == "v5p" else 1)
    return Program(
        model=model,
        topology=f"{chip}-{counted}",
        slices=slices,
        meshes=("multislice", "fully_sharded") if slices > 1 else ("fully_sharded",),
        num_microbatches=max(batch_size // chips // _MOST_ROWS, 1),
        batch_size=batch_size,
        values={**BLOCKS, **values},
    )


SIZES: Mapping[tuple[str, str], Program] = {
    (model, chip): _program(model, chip, chips, chips * rows)
    for model, (chips, rows) in _SIZES.items()
    for chip in ("v5e", "v5p", "v6e")
}
# By chips: as many rows for each, and as many in all.
WEAK: Mapping[int, Program] = {
    chips: _program("base", "v5e", chips, chips * _ROWS) for chips in _CHIPS
}
STRONG: Mapping[int, Program] = {
    chips: _program("base", "v5e", chips, _STRONG_BATCH) for chips in _CHIPS
}


def _of_length(length: int) -> Program:
    """As many tokens of inputs as all others have."""
    values = {"TASK_FEATURE_LENGTHS": f"{{'inputs': {length}, 'targets': 114}}"}
    rows = 16 * _ROWS * _LENGTHS[0] // length
    return _program("base", "v5e", 16, rows, **(values if length != _LENGTHS[0] else {}))


LENGTHS: Mapping[int, Program] = {length: _of_length(length) for length in _LENGTHS}
# The longest of them where there is no other chip.
ONE_CHIP = dataclasses.replace(LENGTHS[_LENGTHS[-1]], topology="v5e-1", batch_size=8)

# The curves first, their ends before what is between; then one size after the other.
_ORDER = (16, 256, 4, 64, 1024)
SCALING: Mapping[str, Program] = {
    **{f"weak_{chips}": WEAK[chips] for chips in _ORDER},
    **{f"strong_{chips}": STRONG[chips] for chips in _ORDER},
    **{f"{model}_{chip}": program for (model, chip), program in SIZES.items()},
    **{f"length_{length}": program for length, program in LENGTHS.items()},
    f"length_{_LENGTHS[-1]}_one_chip": ONE_CHIP,
}
