"""Seconds that one can add up by hand: 1 FLOP and 1 byte of HBM take a second."""

import pytest

from t5x_lite.planning.cost import analyse
from t5x_lite.planning.schedule import Speeds, schedule

_PERMUTE = "collective-permute-start(%x), source_target_pairs={{0,2},{2,0}}"
_DOT = "dot(%x, %x), lhs_contracting_dims={1}, rhs_contracting_dims={0}"
_VMEM = "f32[2,2]{1,0:S(1)}"
_START = f"({_VMEM}, {_VMEM}, u32[]{{:S(2)}})"
_DOT_SECONDS = 2 * 2 * 2 * 2


def _times(module, mesh, *, collective=10.0, hbm=1.0, host=1.0):
    cost = analyse(module, mesh=mesh)
    speeds = Speeds(1.0, hbm, host, lambda found: collective)
    return schedule(module, cost.collectives, speeds)


def _program(*lines):
    return (f"%x = {_VMEM} parameter(0)", *lines)


def test_computation_between_start_and_done_hides(entry, mesh):
    module = entry(
        *_program(
            f"%s = {_START} {_PERMUTE}",
            f"%y = {_VMEM} {_DOT}",
            f"ROOT %d = {_VMEM} collective-permute-done(%s)",
        )
    )
    long = _times(module, mesh, collective=20.0)
    assert (long.compute_seconds, long.exposed_collective_seconds) == (_DOT_SECONDS, 4)
    assert (long.hidden_collective_seconds, long.step_seconds) == (_DOT_SECONDS, 20)
    assert long.exposed == {"s": 4}
    short = _times(module, mesh, collective=10.0)
    assert (short.exposed_collective_seconds, short.hidden_collective_seconds) == (0, 10)


def test_nothing_hides_a_synchronous_collective(entry, mesh):
    module = entry(
        *_program(
            f"%y = {_VMEM} {_DOT}",
            f"ROOT %r = {_VMEM} all-reduce(%x), replica_groups=[2,4]<=[4,2]T(1,0), to_apply=%add",
        )
    )
    times = _times(module, mesh)
    assert (times.exposed_collective_seconds, times.hidden_collective_seconds) == (10, 0)
    assert times.step_seconds == _DOT_SECONDS + 10


def test_collectives_on_the_same_links_take_turns(entry, mesh):
    """Both begin before one product of 16 s: on one axis 4 s of 20 are left, on two axes none."""

    def module(second):
        return entry(
            *_program(
                f"%s = {_START} {_PERMUTE}",
                f"%t = {_START} {second}",
                f"%y = {_VMEM} {_DOT}",
                f"%d = {_VMEM} collective-permute-done(%s)",
                f"ROOT %e = {_VMEM} collective-permute-done(%t)",
            )
        )

    assert _times(module(_PERMUTE), mesh).exposed == {"s": 0, "t": 4}
    other = "collective-permute-start(%x), source_target_pairs={{0,1},{1,0}}"
    assert _times(module(other), mesh).exposed_collective_seconds == 0


def test_a_loop_counts_by_its_trips_and_hides_what_runs_beside_it(collective_matmul, mesh):
    """Each of two trips multiplies 960 FLOPs and waits 10 s for its permute, on the gather's links,
    so that the gather has only the time of the products.
    """
    times = _times(collective_matmul, mesh, hbm=1e9)
    assert times.exposed == {"async-collective-start": 0, "collective-permute.1": 20}
    assert times.compute_seconds == pytest.approx(2 * 960)
    slow = _times(collective_matmul, mesh, collective=3000.0, hbm=1e9)
    assert slow.exposed["async-collective-start"] == pytest.approx(3000 - 2 * 960)
    assert slow.exposed["collective-permute.1"] == 6000


def test_the_longer_of_flops_and_bytes_counts(entry, mesh):
    module = entry(
        "%x = f32[2,2] parameter(0)",
        f"ROOT %y = f32[2,2] {_DOT}",
    )
    assert _times(module, mesh).compute_seconds == 3 * 16
    assert _times(module, mesh, hbm=1e9).compute_seconds == _DOT_SECONDS


def test_copies_of_the_host_go_on_beside_those_within_the_chip(entry, mesh):
    """A slice of 8 bytes comes at 1 byte a second, whatever else HBM is asked for meanwhile."""
    whole, part = "f32[8,2]{1,0:S(5)}", "f32[1,2]{1,0}"
    started = f"(({whole}, s32[]), {part}, u32[]{{:S(2)}}) dynamic-slice-start(%h, %i)"

    def module(*between):
        return entry(
            f"%h = {whole} parameter(1)",
            "%i = s32[] parameter(2)",
            *_program(f"%s = {started}", *between, f"ROOT %d = {part} dynamic-slice-done(%s)"),
        )

    assert _times(module(), mesh).compute_seconds == 8
    assert _times(module(), mesh, host=4.0).compute_seconds == 2
    beside = "%z = f32[1,2]{1,0} negate(%x)"
    assert _times(module(beside), mesh).compute_seconds == 8
    assert _times(module(f"%y = {_VMEM} {_DOT}"), mesh).compute_seconds == _DOT_SECONDS


def test_copies_use_the_time_that_computation_leaves_to_hbm(entry, mesh):
    """The copy takes 16 s of HBM beside a product of 16 s that needs none, then none is left."""
    copied = f"({_VMEM}, f32[2,2]{{1,0}}, u32[]{{:S(2)}}) copy-start(%h)"

    def module(*between):
        return entry(
            "%h = f32[2,2]{1,0} parameter(1)",
            *_program(f"%s = {copied}", *between, f"ROOT %d = {_VMEM} copy-done(%s)"),
        )

    assert _times(module(), mesh).compute_seconds == 16
    assert _times(module(f"%y = {_VMEM} {_DOT}"), mesh).compute_seconds == 16
    # HBM is busy with this one for all of its 32 s.
    assert _times(module("%z = f32[2,2]{1,0} negate(%h)"), mesh).compute_seconds == 32 + 16
