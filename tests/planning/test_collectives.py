"""Collectives in the forms that the TPU compiler gives them."""

import pytest

from t5x_lite.planning.causes import Cause
from t5x_lite.planning.collectives import Collective
from t5x_lite.planning.cost import analyse
from t5x_lite.planning.mesh_axes import MeshLayout


def test_a_chain_of_fusions_is_one_collective(collective_matmul, mesh):
    """It is written down before the loop, in it (twice run) and behind it: four times in all."""
    cost = analyse(collective_matmul, mesh=mesh)
    (gather, permute) = cost.collectives
    assert gather == Collective(
        name="async-collective-start",
        done="async-collective-done",
        kind="all-gather",
        payload_bytes=64 * 32 * 2,
        trips=1,
        axes="data",
        group_size=4,
        cause=gather.cause,
    )
    assert gather.is_asynchronous and not permute.is_asynchronous
    assert (permute.kind, permute.axes, permute.trips) == ("collective-permute", "data", 2)
    assert cost.collective_bytes == {"all-gather": 4096, "collective-permute": 2 * 96}
    assert cost.counted_bytes == {"all-gather": 4 * 4096, "collective-permute": 2 * 96}


def test_the_loop_of_a_collective_matmul_counts_by_its_stride(collective_matmul, mesh):
    cost = analyse(collective_matmul, mesh=mesh)
    assert [(loop.name, loop.trips, loop.is_known) for loop in cost.loops] == [("while.1", 2, True)]
    assert cost.flops == 2 * (2 * 10 * 8 * 6)


def test_a_cause_is_the_argument_that_is_moved(collective_matmul, mesh):
    """Out of loops, fusions and copies; what turns in a ring stays the same weight."""
    gather, permute = analyse(collective_matmul, mesh=mesh).collectives
    assert gather.cause == Cause(
        phase="forward",
        argument="encoder/layers/mlp/wo/kernel",
        factor="",
        function="step > MLP > Linear",
        operation="dot_general",
    )
    assert str(permute.cause) == "backward: encoder/layers/mlp/wi/kernel"


_REDUCE = """\
%scatter (input: f32[30,4]) -> f32[8,4] {
  %input = f32[30,4] parameter(0)
  %zero = f32[] constant(0)
  %pad = f32[32,4] pad(%input, %zero), padding=0_2x0_0
  %all-reduce = f32[32,4] all-reduce(%pad), replica_groups=[2,4]<=[4,2]T(1,0), to_apply=%add
  %bitcast = f32[32,4] bitcast(%all-reduce)
  %n = s32[] constant(0)
  ROOT %mine = f32[8,4] dynamic-slice(%bitcast, %n, %n), dynamic_slice_sizes={8,4}
}
"""


def test_a_sum_of_which_a_slice_is_kept_is_a_reduce_scatter(entry, mesh):
    module = entry(
        "%p = f32[30,4] parameter(0)",
        "ROOT %f = f32[8,4] fusion(%p), kind=kCustom, calls=%scatter, "
        'metadata={op_name="jit(step)/transpose(jvp())/scatter-add"}',
        before=_REDUCE,
    )
    cost = analyse(module, mesh=mesh)
    (found,) = cost.collectives
    assert (found.kind, found.payload_bytes, found.axes) == ("reduce-scatter", 512, "data")
    assert found.wire_bytes == 512 * 3 / 4
    assert str(found.cause) == "backward: scatter-add"
    assert cost.counted_bytes == {"all-reduce": 512}


@pytest.mark.parametrize(
    ("line", "payload", "wire"),
    [
        ("f32[64] all-gather(%p), replica_groups=[2,4]<=[8], dimensions={0}", 256, 192),
        ("f32[16] all-reduce(%p), replica_groups=[2,4]<=[8], to_apply=%add", 64, 96),
        ("f32[4] reduce-scatter(%p), replica_groups=[2,4]<=[8], to_apply=%add", 64, 48),
        ("f32[16] all-to-all(%p), replica_groups=[2,4]<=[8], dimensions={0}", 64, 48),
        ("f32[16] collective-permute(%p), source_target_pairs={{0,1}}", 64, 64),
        ("(f32[16], f32[64]) all-gather-start(%p), replica_groups=[2,4]<=[8]", 256, 192),
        (
            "(f32[16], f32[16], u32[]) collective-permute-start(%p), source_target_pairs={{0,1}}",
            64,
            64,
        ),
        ("f32[16] all-reduce-start(%p), replica_groups=[2,4]<=[8], to_apply=%add", 64, 96),
        ("f32[16] all-reduce(%p), replica_groups={}, to_apply=%add", 64, 2 * 64 * 7 / 8),
    ],
)
def test_bytes_follow_the_ring(entry, mesh, line, payload, wire):
    cost = analyse(entry("%p = f32[16] parameter(0)", f"ROOT %c = {line}"), mesh=mesh)
    (found,) = cost.collectives
    assert (found.payload_bytes, found.wire_bytes) == (payload, wire)


def test_a_generic_asynchronous_operation_is_the_collective_within(entry, mesh):
    inside = (
        "%wrapped (q: f32[16]) -> f32[4] {\n  %q = f32[16] parameter(0)\n"
        "  ROOT %rs = f32[4] reduce-scatter(%q), replica_groups=[2,4]<=[8], to_apply=%add\n}\n"
    )
    module = entry(
        "%p = f32[16] parameter(0)",
        "%s = ((f32[16]), f32[4], u32[]) async-start(%p), calls=%wrapped",
        "%u = ((f32[16]), f32[4], u32[]) async-update(%s), calls=%wrapped",
        "ROOT %d = f32[4] async-done(%u), calls=%wrapped",
        before=inside,
    )
    (found,) = analyse(module, mesh=mesh).collectives
    assert (found.name, found.done, found.kind) == ("s", "d", "reduce-scatter")


def test_a_collective_that_another_core_runs_is_counted(entry, mesh):
    """TPU7x hands sums to its SparseCores: the call begins, and ends somewhere below."""
    called = """\
%called (p: f32[4], token: token[]) -> f32[4] {
  %p = f32[4] parameter(0)
  %token = token[] parameter(1)
  ROOT %sum = f32[4] all-reduce(%p), replica_groups=[4,2]<=[8], to_apply=%add
}
"""
    module = entry(
        "%a = f32[4] parameter(0)",
        '%ready = token[] custom-call(), custom_call_target="PrepareAsyncCallDone"',
        "%call-start = ((f32[4], token[]), f32[4]) call-start(%a, %ready), "
        'async_execution_thread="sparsecore", to_apply=%called',
        "ROOT %call-done = f32[4] call-done(%call-start)",
        before=called,
    )
    (found,) = analyse(module, mesh=mesh).collectives
    assert (found.kind, found.axes, found.payload_bytes) == ("all-reduce", "model", 16)
    assert (found.name, found.done) == ("call-start", "call-done")


@pytest.mark.parametrize(
    ("transfer", "received", "kind", "payload", "wire"),
    [
        ("ALL_REDUCE", 16, "all-reduce", 64, 96),
        ("ALL_GATHER", 64, "all-gather", 256, 192),
        ("REDUCE_SCATTER", 4, "reduce-scatter", 64, 48),
        ("ALL_TO_ALL", 16, "all-to-all", 64, 48),
        ("ONE_TO_ONE", 16, "collective-permute", 64, 64),
    ],
)
def test_between_slices_hosts_send_and_receive(entry, transfer, received, kind, payload, wire):
    """Each slice runs the same program, whose groups know its own chips only."""
    meeting = f'_xla_host_transfer_rendezvous="r_0",_xla_megascale_transfer_type="{transfer}"'
    transferred = f"is_host_transfer=true, frontend_attributes={{{meeting}}}"
    module = entry(
        "%p = f32[16] parameter(0)",
        "%token = token[] after-all()",
        f"%send = (f32[16], u32[], token[]) send(%p, %token), channel_id=1, {transferred}",
        f"%recv = (f32[{received}], u32[], token[]) recv(%token), channel_id=2, {transferred}",
        "%send-done = token[] send-done(%send), channel_id=1",
        f"%recv-done = (f32[{received}], token[]) recv-done(%recv), channel_id=2",
        "ROOT %r = f32[16] all-reduce(%p), replica_groups={{0,2},{1,3}}, to_apply=%add",
    )
    mesh = MeshLayout.of({"data": 8, "model": 2}, num_slices=4)
    between, within = analyse(module, mesh=mesh).collectives
    assert (between.kind, between.payload_bytes, between.wire_bytes) == (kind, payload, wire)
    assert (between.axes, between.group_size, between.crosses_slices) == ("data", 4, True)
    assert (between.name, between.done) == ("send", "recv-done")
    assert (within.axes, within.group_size, within.crosses_slices) == ("data", 2, False)
