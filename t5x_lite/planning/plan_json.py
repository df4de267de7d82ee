"""A plan as plain values with units in their names, for files and other programs."""

import dataclasses
from typing import Any

from t5x_lite.planning.plan import Plan, assumptions


def as_json(plan: Plan) -> dict[str, Any]:
    """A plan as one flat object. Bytes, FLOPs and seconds are of a device and a step; a device is
    a chip, of tpu7x half of one.
    """
    measured, compiled = plan.measured, plan.compiled
    cost, schedule = (compiled.cost, compiled.schedule) if compiled else (None, None)
    topology, memory = measured.topology, compiled.memory if compiled else None
    return {
        "program": measured.kind.value,
        "topology": topology.name,
        "slices": topology.slices,
        "chips": topology.num_chips,
        "devices": topology.num_devices,
        "hosts": topology.num_hosts,
        "mesh": dict(measured.mesh),
        "batch": {name: list(shape) for name, shape in measured.shapes.items()},
        "fits": plan.fits,
        "hbm_capacity_bytes": plan.hbm_capacity,
        "hbm_peak_bytes": plan.hbm_peak,
        "hbm_reserved_bytes": memory and memory.reserved,
        "params_bytes": measured.state.parameters,
        "optimizer_bytes": measured.state.optimizer,
        "argument_bytes": memory and memory.arguments,
        "temp_bytes": memory and memory.temporaries,
        "hbm_parts_bytes": dict(plan.parts),
        "model_flops": plan.model_flops,
        "compiled_flops": cost and cost.flops,
        "recompute_share": plan.recompute_share,
        "unknown_loops": plan.unknown_loops,
        "hbm_traffic_bytes": cost and cost.hbm_bytes,
        "collective_bytes": cost and dict(cost.collective_bytes),
        "collectives": [dataclasses.asdict(row) for row in plan.traffic],
        "compute_seconds": schedule and schedule.compute_seconds,
        "exposed_collective_seconds": schedule and schedule.exposed_collective_seconds,
        "hidden_collective_seconds": schedule and schedule.hidden_collective_seconds,
        "step_seconds_estimate": plan.step_seconds,
        "tokens_per_second": plan.tokens_per_second,
        "mfu_bound": plan.mfu_bound,
        "train_steps": plan.train_steps,
        "days": plan.days,
        "chip_hours": plan.chip_hours,
        "price_per_chip_hour": plan.price,
        "price": plan.cost,
        "input_tokens_per_second_per_host": plan.host_tokens_per_second,
        "checkpoint_bytes": measured.state.checkpoint,
        "checkpoint_seconds": plan.checkpoint_seconds,
        "host_bytes_needed": plan.host_bytes_needed,
        "host_bytes": topology.chip.host_bytes,
        "lower_seconds": measured.lower_seconds,
        "compile_seconds": measured.compile_seconds,
        "assumptions": assumptions(plan),
    }
