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


def collective(kind, axes, group_size):
    cause = Cause("forward", "", "", "", "")
    return Collective("first", "first", kind, SIZE, 1, axes, group_size, cause)


@pytest.fixture
def seconds():
    def of(name, kind, axes, *, slices=1, **sizes):
        size = math.prod(sizes[each] for each in axes.split("+"))
        links = links_of(find(name, slices=slices), **sizes)
        return links.seconds(collective(kind, axes, size))

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


def test_slices_sum_within_before_they_sum_between(seconds):
    """Each chip sends its quarter of the sum over its share of the host's network, and back."""
    found = seconds("v5e-4", "all-reduce", "slice+data", slices=2, slice=2, data=4)
    within = 2 * SIZE * 3 / 4 / (2 * LINK)
    between = 2 * SIZE * (1 / 2) / 4 / NETWORK
    assert found == pytest.approx(within + between)
    only_between = seconds("v5e-4", "all-reduce", "slice", slices=2, slice=2, data=4)
    assert only_between == pytest.approx(2 * SIZE / 2 / NETWORK)


def test_what_sends_nothing_takes_no_time():
    links = links_of(find("v5e-4"), data=4)
    assert links.seconds(collective("all-reduce", "", 1)) == 0
    unknown = links.seconds(collective("all-gather", "?", 4))
    assert unknown == pytest.approx(SIZE * 3 / 4 / LINK)
