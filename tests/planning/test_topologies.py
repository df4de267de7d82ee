"""Names of machines, and the table of chips that stands behind them."""

import importlib.metadata
import importlib.util
import math

import pytest

from t5x_lite.errors import UserError
from t5x_lite.planning import libtpu
from t5x_lite.planning.chips import CHIPS
from t5x_lite.planning.topologies import find
from t5x_lite.training.utilization import peak_flops

# Chip and what JAX calls its devices.
KINDS = {
    "v4-8": "TPU v4",
    "v5e-4": "TPU v5 lite",
    "v5p-8": "TPU v5",
    "v6e-4": "TPU v6 lite",
    "tpu7x-8": "TPU7x",
}


@pytest.mark.parametrize(
    ("name", "shape", "chips"),
    [
        ("v5e-1", (1, 1), 1),
        ("v5litepod-8", (2, 4), 8),
        ("v5e-16", (4, 4), 16),
        ("v5e-32", (4, 8), 32),
        ("v5e-128", (8, 16), 128),
        ("v6e-256", (16, 16), 256),
        ("trillium-64", (8, 8), 64),
        ("v4-8", (2, 2, 1), 4),
        ("v4-64", (2, 4, 4), 32),
        ("v4-512", (4, 8, 8), 256),
        ("v5p-128", (4, 4, 4), 64),
        ("v5p-12288", (16, 16, 24), 6144),
        ("tpu7x-128", (4, 4, 4), 64),
        ("ironwood-8", (2, 2, 1), 4),
        ("v5e:4x8", (4, 8), 32),
        ("V5E-16", (4, 4), 16),
        ("cpu:8", (8,), 8),
    ],
)
def test_a_name_is_a_number_of_chips_in_clouds_shape(name, shape, chips):
    found = find(name)
    assert (found.shape, found.num_chips) == (shape, chips)


def test_a_topology_is_found_by_the_name_it_gives_itself():
    for name in ("v5e-256", "v4-64", "tpu7x-128", "v5e:2x8", "cpu:3"):
        assert find(find(name).name) == find(name)
        assert find(name).name == name
    assert str(find("v5litepod-16", slices=2)) == "2 x v5e-16"


def test_several_slices_multiply_chips_and_hosts():
    one, two = find("v5p-32"), find("v5p-32", slices=2)
    assert (two.num_chips, two.num_hosts) == (2 * one.num_chips, 2 * one.num_hosts) == (32, 8)
    assert find("v5e-1").num_hosts == 1


def test_rings_close_where_the_vendor_says():
    """v5e and v6e where 16 chips lie in a dimension, the others with whole cubes."""
    assert find("v5e-256").closed == (True, True)
    assert find("v5e-128").closed == (False, True)
    assert find("v6e-64").closed == (False, False)
    assert find("v4-64").closed == (False,) * 3
    assert find("v5p-256").closed == (True,) * 3


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("v5-256", "did you mean v5.-256"),
        ("v5e", "did you mean v5e-8"),
        ("v5e-17", "v5e-16 and v5e-32"),
        ("v4-63", "v4-32 and v4-64 .* count cores, two a chip"),
        ("v6e-512", "there is: v6e-256 "),
        ("v5e:3x3", "hosts of 2x2"),
        ("v5e:4x4x4", "linked in 2 dimensions"),
        ("v5e:64x64", "at most 256"),
        ("h100-8", "needed is a slice"),
        ("cpu:0", "cpu:1 to cpu:512"),
        ("cpu-8", "cpu:1 to cpu:512"),
    ],
)
def test_what_does_not_exist_is_said_with_what_does(name, said):
    with pytest.raises(UserError, match=said):
        find(name)


def test_slices_are_counted_from_one():
    with pytest.raises(UserError, match="--slices=0"):
        find("v5e-4", slices=0)
    with pytest.raises(UserError, match="of one slice"):
        find("cpu:8", slices=2)


def test_the_compiler_is_asked_for_if_it_is_missing(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"not installed: pip install 't5x_lite\[plan\]'"):
        find("v5e-4").devices()


def test_the_compiler_of_another_jax_is_refused(monkeypatch):
    versions = {"jax": "0.10.2", "libtpu": "0.0.52"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(importlib.metadata, "version", versions.__getitem__)
    monkeypatch.setattr(
        importlib.metadata, "requires", lambda name: ['libtpu==0.0.42.*; extra == "tpu"', "numpy"]
    )
    with pytest.raises(UserError, match="libtpu 0.0.52 .* jax 0.10.2, which needs 0.0.42"):
        libtpu.check_installed()
    versions["libtpu"] = "0.0.42.1"
    libtpu.check_installed()


@pytest.mark.parametrize("chip", CHIPS, ids=lambda chip: chip.name)
def test_chips_are_in_the_units_that_they_say(chip):
    """Computing slower than it reads, or links that beat the memory, would be a typing error."""
    assert 100 < chip.flops / chip.hbm_bandwidth < 1000
    assert 5 < chip.hbm_bandwidth / chip.link_bandwidth < 100
    assert 8e9 < chip.hbm_bytes / chip.devices < 110e9
    assert chip.host_bandwidth / chip.chips_per_host < chip.link_bandwidth


@pytest.mark.parametrize("name", KINDS)
def test_chips_have_the_peak_that_utilization_counts_against(name):
    chip = find(name).chip
    assert math.isclose(peak_flops(KINDS[name]), chip.flops / chip.devices, rel_tol=1e-3)


@pytest.mark.parametrize("name", [*KINDS, "v5e-1", "v5e-256", "v4-64"])
@pytest.mark.tpu_compiler
def test_the_compiler_knows_the_topology(name):
    pytest.importorskip("libtpu", reason="libtpu is not installed: make pods")
    topology = find(name)
    devices = topology.devices()
    assert len(devices) == topology.num_devices
    assert len({device.process_index for device in devices}) == topology.num_hosts
    assert all(device.device_kind == KINDS.get(name, devices[0].device_kind) for device in devices)


@pytest.mark.tpu_compiler
def test_the_compiler_tells_slices_apart():
    pytest.importorskip("libtpu", reason="libtpu is not installed: make pods")
    devices = find("v5e-4", slices=2).devices()
    assert [device.slice_index for device in devices] == [0] * 4 + [1] * 4
