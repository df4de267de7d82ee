"""Which process reads which rows: processes that share a piece read the same part."""

import numpy as np
import pytest

from t5x_lite.partitioning.readers import parts_of

MESH = {"slice": 2, "data": 2, "model": 2}


def processes(*numbers):
    """Of the 8 devices of MESH, in order."""
    return np.reshape(numbers, tuple(MESH.values()))


@pytest.mark.parametrize(
    ("held", "axes", "expected"),
    [
        # One device each: the two of `model` read the same.
        (range(8), ("slice", "data"), ({p: p // 2 for p in range(8)}, 4)),
        (range(8), ("data", "slice"), ({p: [0, 2, 1, 3][p // 2] for p in range(8)}, 4)),
        (range(8), ("data",), ({p: p // 2 % 2 for p in range(8)}, 2)),
        # A slice each, and two processes a slice.
        ([0] * 4 + [1] * 4, ("slice", "data"), ({0: 0, 1: 1}, 2)),
        ([0] * 4 + [1] * 4, ("data",), ({0: 0, 1: 0}, 1)),
        ([0, 0, 1, 1, 2, 2, 3, 3], ("slice", "data"), ({p: p for p in range(4)}, 4)),
        ([0] * 4 + [1] * 4, (), ({0: 0, 1: 0}, 1)),
    ],
)
def test_a_process_reads_the_pieces_of_its_devices(held, axes, expected):
    assert parts_of(processes(*held), axes, MESH) == expected


def test_parts_that_overlap_are_refused():
    """Three and five devices of eight: a piece would be read by both, another by one."""
    with pytest.raises(ValueError, match="overlapping parts of the batch"):
        parts_of(processes(0, 0, 0, 1, 1, 1, 1, 1), ("slice", "data"), MESH)
