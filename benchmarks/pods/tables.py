"""What is known of programs as markdown; what was not compiled is left out."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.pods.estimates import Pair, summary
from benchmarks.pods.grid import GRID, Reference, Row
from benchmarks.pods.programs import Program
from benchmarks.pods.results import Results
from benchmarks.pods.scaling import LENGTHS, ONE_CHIP, SIZES, STRONG, WEAK

_KINDS = ("all-gather", "all-reduce", "collective-permute")
_GRID_HEADER = (
    "data x model, remat, microbatches",
    "peak GB",
    "TFLOP",
    "all-gather + all-reduce + permute GB, as written",
    "each once, and with all-to-all: GB",
    "exposed / computing s",
    "between slices GB",
)
_PLAN_HEADER = (
    "peak GB",
    "TFLOP",
    "between chips GB",
    "exposed ms",
    "step ms",
    "tokens/s of a chip",
    "MFU at most",
    "a million tokens",
)
_ESTIMATES_HEADER = (
    "program",
    "peak GB, estimated",
    "compiled",
    "off by",
    "step s, estimated",
    "of the compiled program",
)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a markdown table."""
    if not rows:
        return ["Nothing of it is compiled yet."]
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def grid_table(results: Results) -> list[str]:
    """A line for each row of the grid, and below it T5X's of the same shape."""
    lines = []
    for row in GRID.values():
        if found := results.find(row.program):
            lines.append(_line(row, found))
            if row.reference:
                lines.append(_reference_line(row.reference))
    return table(_GRID_HEADER, lines)


def all_tables(results: Results, estimates: Mapping[str, Pair]) -> dict[str, list[str]]:
    """Every table by its name."""
    sizes = {f"{model}, {program.machine}": program for (model, _), program in SIZES.items()}
    weak, strong, lengths = (
        {f"{number:,}": program for number, program in programs.items()}
        for programs in (WEAK, STRONG, LENGTHS)
    )
    lengths[f"{max(LENGTHS):,}, one chip"] = ONE_CHIP
    return {
        "grid": grid_table(results),
        "sizes": _plans("model, slice", sizes, results),
        "weak": _plans("chips", weak, results),
        "strong": _plans("chips", strong, results),
        "lengths": _plans("tokens of an input", lengths, results),
        "estimates": estimates_table(estimates),
    }


def estimates_table(pairs: Mapping[str, Pair]) -> list[str]:
    """A line for each program, and how far off they are in all."""
    if not pairs:
        return ["Nothing of it is estimated yet."]
    rows = [
        (
            name.replace("_", " "),
            _gb(pair.estimated_peak),
            _gb(pair.peak),
            f"{pair.estimated_peak / pair.peak - 1:+.1%}",
            f"{pair.estimated_seconds:.3f}",
            f"{pair.seconds:.3f}",
        )
        for name, pair in pairs.items()
    ]
    return [*table(_ESTIMATES_HEADER, rows), "", summary(pairs.values())]


def _plans(what: str, rows: Mapping[str, Program], results: Results) -> list[str]:
    found = {name: (program, results.find(program)) for name, program in rows.items()}
    lines = [
        (name, f"{program.batch_size:,}", *_numbers(plan))
        for name, (program, plan) in found.items()
        if plan
    ]
    return table((what, "rows", *_PLAN_HEADER), lines)


def _numbers(plan: Mapping[str, Any]) -> tuple[str, ...]:
    peak = f"{_gb(plan['hbm_peak_bytes'])} of {_gb(plan['hbm_capacity_bytes'])}"
    if not plan["fits"]:
        return f"{peak}: does not fit", *["-"] * (len(_PLAN_HEADER) - 1)
    return (
        peak,
        f"{plan['compiled_flops'] / 1e12:.1f}",
        f"{sum(plan['collective_bytes'].values()) / 1e9:.2f}",
        f"{1000 * plan['exposed_collective_seconds']:,.0f}",
        f"{1000 * plan['step_seconds_estimate']:,.0f}",
        f"{plan['tokens_per_second'] / plan['chips']:,.0f}",
        f"{plan['mfu_bound']:.0%}",
        f"${_price(plan):.4f}",
    )


def _price(plan: Mapping[str, Any]) -> float:
    """Dollars for a million tokens at the list price."""
    tokens = plan["tokens_per_second"] * plan["step_seconds_estimate"] * plan["train_steps"]
    return plan["price"] / tokens * 1e6


def described(row: Row) -> str:
    """A row in words: its mesh, remat, microbatches, and what else differs."""
    program = row.program
    slices = f"{program.slices} slices of " if program.slices > 1 else ""
    more = [
        name.replace("_", " ")
        for name in program.meshes
        if name not in ("fully_sharded", "multislice")
    ]
    if "ComputeConfig.attention" in program.values:
        more.append("attention by blocks")
    kept = re.findall(r"\w+", program.remat)
    remat = program.remat if len(kept) == 1 else f"keeps {' '.join(kept)}"
    return ", ".join((f"{slices}{program.mesh}", remat, str(program.num_microbatches), *more))


def _line(row: Row, plan: Mapping[str, Any]) -> tuple[str, ...]:
    if plan["compiled_flops"] is None:
        needed = f"{_gb(plan['hbm_peak_bytes'])}, does not fit"
        return (described(row), needed, *["-"] * 5)
    moved = sum(plan["collective_bytes"].values())
    return (
        described(row),
        _gb(plan["hbm_peak_bytes"]) + ("" if plan["fits"] else ", does not fit"),
        f"{plan['compiled_flops'] / 1e12:.0f}",
        _by_kind(plan["counted_bytes"]),
        f"{_by_kind(plan['collective_bytes'])} = {moved / 1e9:.0f}",
        f"{plan['exposed_collective_seconds']:.2f} / {plan['compute_seconds']:.2f}",
        f"{plan['network_bytes'] / 1e9:.2f}" if plan["slices"] > 1 else "-",
    )


def _reference_line(known: Reference) -> tuple[str, ...]:
    moved = f"{known.all_gather:g} + {known.all_reduce:g} + {known.permute:g}"
    return (
        "T5X, the same",
        f"{known.peak:g}",
        f"{known.tflop:g}",
        moved,
        *["-"] * 3,
    )


def _by_kind(counted: Mapping[str, float]) -> str:
    """Reduce-scatters stand with all-reduces, of which they are a part."""
    known = dict(counted)
    known["all-reduce"] = known.get("all-reduce", 0) + known.pop("reduce-scatter", 0)
    return " + ".join(f"{known.get(kind, 0) / 1e9:.0f}" for kind in _KINDS)


def _gb(size: float) -> str:
    return f"{size / 1e9:.2f}"
