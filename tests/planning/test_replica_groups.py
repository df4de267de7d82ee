"""HLO's ways to write who takes part, and the mesh axes that they mean."""

import numpy as np
import pytest

from t5x_lite.planning.mesh_axes import UNKNOWN_AXES, MeshLayout
from t5x_lite.planning.replica_groups import groups_of, pairs_of

_ROWS = ((0, 1), (2, 3), (4, 5), (6, 7))
_COLUMNS = ((0, 2, 4, 6), (1, 3, 5, 7))


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        ("{{0,1},{2,3},{4,5},{6,7}}", _ROWS),
        ("[4,2]<=[8]", _ROWS),
        ("[2,4]<=[4,2]T(1,0)", _COLUMNS),
        ("mesh['axis_0'=4,'axis_1'=2] {'axis_1'}", _ROWS),
        ("mesh['axis_0'=4,'axis_1'=2] {'axis_0'}", _COLUMNS),
        ("mesh['axis_0'=2,'axis_1'=4], device_ids=([4,2]T(1,0)) {'axis_1'}", _COLUMNS),
        ("mesh['axis_0'=8] {'axis_0':(1)4}", _COLUMNS),
        ("mesh['axis_0'=8] {'axis_0':(4)2}", _ROWS),
        ("mesh['axis_0'=4,'axis_1'=2] {'axis_0','axis_1'}", (tuple(range(8)),)),
        ("{}", None),
    ],
)
def test_groups_are_read_in_every_form(text, groups):
    assert groups_of(f"channel_id=1, replica_groups={text}, use_global_device_ids=true") == groups


@pytest.mark.parametrize("axes", ["", "data", "model", "data+model", "slice", "slice+model"])
def test_groups_along_axes_are_named_by_them(axes):
    """Of any layout of the ids, in any order of groups and members."""
    random = np.random.default_rng(0)
    ids = random.permutation(12).reshape(2, 1, 3, 2)
    mesh = MeshLayout({"slice": 2, "unused": 1, "data": 3, "model": 2}, ids)
    names = list(mesh.sizes)
    together = [names.index(name) for name in axes.split("+") if name]
    others = [axis for axis in range(4) if axis not in together]
    groups = ids.transpose(others + together).reshape(-1, mesh.size_of(axes))
    shuffled = random.permuted(random.permutation(groups), axis=1)
    assert mesh.axes_of(tuple(map(tuple, shuffled.tolist()))) == axes


def test_groups_that_are_no_axes_are_unknown(mesh):
    assert mesh.axes_of(((0, 3), (1, 2), (4, 7), (5, 6))) == UNKNOWN_AXES
    assert mesh.axes_between(((0, 99),)) == UNKNOWN_AXES


@pytest.mark.parametrize(
    ("pairs", "axes"),
    [
        ("{{0,2},{2,4},{4,6},{6,0},{1,3},{3,5},{5,7},{7,1}}", "data"),
        ("{{0,1},{1,0}}", "model"),
        ("{{0,0},{1,4},{2,1}}", "data+model"),
        ("{{3,3}}", ""),
    ],
)
def test_a_permute_spans_the_axes_along_which_it_sends(mesh, pairs, axes):
    assert mesh.axes_between(pairs_of(f"source_target_pairs={pairs}")) == axes
