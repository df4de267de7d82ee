"""Seconds of collectives, by hand, on devices whose places are known."""

import math
import types

import numpy as np
import pytest

from t5x_lite.planning.causes import Cause
from t5x_lite.planning.collectives import Collective
from t5x_lite.planning.links import Links
from t5x_lite.planning.topologies import find

SIZE = 10**9
LINK, NETWORK = 50e9, 12.5e9 / 4  # of v5e, and of its hosts of 4 chips


def links_of(topology, **axes):
    """Those of a mesh of devices in the order of their places."""
    places = [(s, *at) for s in range(topology.slices) for at in np.ndindex(topology.shape)]
    devices = np.empty(len(places), object)
    devices[:] = [types.SimpleNamespace(slice_index=s, coords=(*at, 0)) for s, *at in places]
    return Links(topology, devices.reshape(tuple(axes.values())), tuple(axes))


def collective(kind, axes, group_size, crosses=False):
    cause = Cause("forward", "", "", "", "")
    return Collective("first", "first", kind, SIZE, 1, axes, group_size, cause, crosses)


@pytest.fixture
def seconds():
    def of(name, kind, axes, *, group=None, slices=1, crosses=False, **sizes):
        group = group or math.prod(sizes[each] for each in axes.split("+"))
        links = links_of(find(name, slices=slices), **sizes)
        return links.seconds(collective(kind, axes, group, crosses))

    return of


def test_a_ring_goes_both_ways_round_where_it_is_closed(seconds):
    """16 chips in a closed dimension: 15/16 of the bytes over two links."""
    closed = seconds("v5e-256", "all-gather", "data", data=16, model=16)
    assert closed == pytest.approx(SIZE * 15 / 16 / (2 * LINK))
    across = seconds("v5e-64", "all-gather", "model", data=8, model=8)
    assert across == pytest.approx(SIZE * 7 / 8 / LINK)


def test_a_part_of_a_dimension_is_no_ring(seconds):
    part = seconds("v5e-256", "all-gather", "model", data=32, model=8)
    assert part == pytest.approx(SIZE * 7 / 8 / LINK)


def test_a_sum_goes_round_twice_and_uses_all_dimensions_that_a_group_spans(seconds):
    whole = seconds("v5e-256", "all-reduce", "data+model", data=16, model=16)
    assert whole == pytest.approx(2 * SIZE * 255 / 256 / (4 * LINK))


def test_a_permute_goes_over_one_link(seconds):
    assert seconds("v5e-256", "collective-permute", "data", data=16, model=16) == SIZE / LINK


def test_within_a_slice_an_axis_that_crosses_slices_is_what_lies_in_it(seconds):
    """8 of data in two slices of 2 x 2: a group is the 4 chips of a slice."""
    found = seconds("v5e-4", "all-reduce", "data", group=4, slices=2, data=8, model=1)
    assert found == pytest.approx(2 * SIZE * 3 / 4 / (2 * LINK))


def test_between_slices_the_chips_of_a_host_share_its_network(seconds):
    found = seconds("v5e-4", "all-reduce", "data", group=2, slices=2, crosses=True, data=8)
    assert found == pytest.approx(2 * SIZE / 2 / NETWORK)


def test_what_sends_nothing_takes_no_time():
    links = links_of(find("v5e-4"), data=4)
    assert links.seconds(collective("all-reduce", "", 1)) == 0
    unknown = links.seconds(collective("all-gather", "?", 4))
    assert unknown == pytest.approx(SIZE * 3 / 4 / LINK)
