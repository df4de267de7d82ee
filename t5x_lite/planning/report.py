"""A plan in words and tables: rows of (name, value, remark), for terminals and pages alike."""

import textwrap
from collections.abc import Mapping, Sequence

from t5x_lite.display.terminal import aligned, shown_size
from t5x_lite.partitioning.rules import in_words
from t5x_lite.planning.plan import Plan, Traffic, assumptions
from t5x_lite.planning.programs import Kind

Row = tuple[str, str, str]
TRAFFIC_HEADER = ("collective", "axes", "cause", "bytes", "exposed ms")

_ESTIMATED = ("gradients", "activations and temporaries")
TITLES = {
    Kind.TRAIN: "a training step",
    Kind.EVAL: "a batch that is evaluated",
    Kind.DECODE: "a batch that is answered",
}
_MOST_CAUSES = 12
_CAUSE_WIDTH = 80


def title(plan: Plan) -> str:
    """What was planned."""
    measured = plan.measured
    topology = measured.topology
    chips = f"{topology.num_chips} chip{'' if topology.num_chips == 1 else 's'}"
    halves = f" ({topology.num_devices} devices)" if topology.chip.devices > 1 else ""
    return f"{TITLES[measured.kind]} on {topology}: {chips}{halves}, {in_words(measured.mesh)}"


def verdict(plan: Plan) -> str:
    """Whether it fits, and what to do if it does not."""
    if plan.fits:
        return f"it fits: {shown_size(plan.hbm_peak)} of {shown_size(plan.hbm_capacity)}"
    largest = sorted(plan.parts.items(), key=lambda part: -part[1])[:3]
    consumers = ", ".join(f"{name} {shown_size(size)}" for name, size in largest)
    needed = plan.compiled.memory.reserved if plan.compiled else plan.hbm_peak
    return (
        f"it does not fit: it needs {shown_size(needed)} of {shown_size(plan.hbm_capacity)}; the "
        f"largest consumers are {consumers}"
    )


def memory_rows(plan: Plan) -> list[Row]:
    """Of one device, when its memory is fullest."""
    rows = [
        (name, shown_size(size), "estimate" if name in _ESTIMATED else "")
        for name, size in plan.parts.items()
    ]
    share = f"{plan.hbm_peak / plan.hbm_capacity:.0%} of {shown_size(plan.hbm_capacity)}"
    if plan.compiled is None:
        return [*rows, ("needed", shown_size(plan.hbm_peak), f"{share}, says the compiler")]
    reserved = plan.compiled.memory.reserved
    return [
        *rows,
        ("peak", shown_size(plan.hbm_peak), f"{share}, says the compiler"),
        ("reserved", shown_size(reserved), "with code and the gaps between arrays"),
    ]


def work_rows(plan: Plan) -> list[Row]:
    """Of one device and one step; none of a program that does not fit."""
    if plan.compiled is None:
        return []
    cost, times = plan.compiled.cost, plan.compiled.schedule
    recomputed = f"{plan.recompute_share or 0:.0%} of them are not the model's: recomputation"
    return [
        ("model FLOPs", _shown(plan.model_flops, "FLOP"), "in theory"),
        ("compiled FLOPs", _shown(cost.flops, "FLOP"), recomputed),
        ("bytes through HBM", shown_size(cost.hbm_bytes), "estimate"),
        ("computing", _milliseconds(times.compute_seconds), "estimate"),
        ("waiting for others", _milliseconds(times.exposed_collective_seconds), "estimate"),
        ("hidden communication", _milliseconds(times.hidden_collective_seconds), "estimate"),
        ("the whole", _milliseconds(times.step_seconds), f"estimate, MFU of at most {_mfu(plan)}"),
    ]


def run_rows(plan: Plan) -> list[Row]:
    """Of all devices and the whole run."""
    state, topology = plan.measured.state, plan.measured.topology
    rows: list[Row] = []
    if plan.tokens_per_second is not None and plan.host_tokens_per_second is not None:
        hosts = "the host" if topology.num_hosts == 1 else f"each of {topology.num_hosts} hosts"
        each = f"{hosts} has to deliver {plan.host_tokens_per_second:,.0f}"
        rows.append(("tokens a second", f"{plan.tokens_per_second:,.0f}", each))
    if plan.days is not None:
        rows.append(("days", f"{plan.days:,.2f}", f"{plan.train_steps:,} steps"))
        rows.append(("chip-hours", f"{plan.chip_hours:,.1f}", ""))
        rows.append(("price", *_price(plan)))
    if plan.measured.kind is Kind.TRAIN:
        seconds = f"at least {plan.checkpoint_seconds:.2g} s to write"
        rows.append(("checkpoint", shown_size(state.checkpoint), seconds))
        has = f"of {shown_size(int(topology.chip.host_bytes))}, while a checkpoint is written"
        rows.append(("memory of a host", shown_size(plan.host_bytes_needed), has))
    rows.append(("compiled in", f"{plan.measured.compile_seconds:.1f} s", "on this machine"))
    return rows


def traffic_rows(plan: Plan) -> list[tuple[str, ...]]:
    """What moves, by cause; of many causes the rest of each kind as one row."""
    rows = list(plan.traffic)
    rest: dict[tuple[str, str], list[Traffic]] = {}
    for row in rows[_MOST_CAUSES:]:
        rest.setdefault((row.kind, row.axes), []).append(row)
    summed = [
        Traffic(
            *key,
            f"{len(group)} other causes" if len(group) > 1 else group[0].cause,
            sum(row.bytes for row in group),
            sum(row.exposed_seconds for row in group),
        )
        for key, group in rest.items()
    ]
    return [
        (
            row.kind,
            row.axes or "-",
            textwrap.shorten(row.cause, _CAUSE_WIDTH, placeholder=" ..."),
            shown_size(row.bytes),
            f"{1000 * row.exposed_seconds:.3f}",
        )
        for row in (*rows[:_MOST_CAUSES], *summed)
    ]


def sections(plan: Plan) -> Mapping[str, Sequence[Row]]:
    """All tables of three columns, by heading; those without rows left out."""
    chip = "device" if plan.measured.topology.chip.devices > 1 else "chip"
    found = {
        f"memory of a {chip}": memory_rows(plan),
        f"work of a {chip}": work_rows(plan),
        "the run": run_rows(plan),
    }
    return {heading: rows for heading, rows in found.items() if rows}


def terminal(plan: Plan) -> str:
    """A plan as plain text, without what it assumes."""
    parts = [f"{title(plan)}\n{verdict(plan)}"]
    parts += [f"{heading}\n{_indented(rows)}" for heading, rows in sections(plan).items()]
    if traffic := traffic_rows(plan):
        parts.append(f"between chips\n{_indented([TRAFFIC_HEADER, *traffic])}")
    return "\n\n".join(parts)


def assumed(plans: Sequence[Plan]) -> list[str]:
    """What the estimates of plans take for granted, each once."""
    return list(dict.fromkeys(each for plan in plans for each in assumptions(plan)))


def _indented(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"  {line}" for line in aligned(rows).splitlines())


def _price(plan: Plan) -> tuple[str, str]:
    if plan.cost is None or plan.price is None:
        return "unknown", "no list price: --price_per_chip_hour=..."
    return f"${plan.cost:,.2f}", f"${plan.price:.2f} a chip and hour"


def _mfu(plan: Plan) -> str:
    return f"{plan.mfu_bound:.1%}" if plan.mfu_bound is not None else "unknown"


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:,.3f} ms"


def _shown(number: float | int, unit: str) -> str:
    """Three digits and a prefix of powers of ten."""
    for power, prefix in enumerate(("", "k", "M", "G", "T")):
        if number < 999.5 * 1000**power:
            return f"{number / 1000**power:.3g} {prefix}{unit}"
    return f"{number / 1e15:.3g} P{unit}"
