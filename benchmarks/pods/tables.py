"""What is known of programs as markdown: ours beside T5X's."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.pods.grid import Reference, Row

_KINDS = ("all-gather", "all-reduce", "collective-permute")
_GRID_HEADER = (
    "data x model, remat, microbatches",
    "peak GB",
    "TFLOP",
    "all-gather + all-reduce + permute GB, as written",
    "each once, and with all-to-all: GB",
    "exposed / computing s",
    "between slices GB",
    "compiled in s",
)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def grid_table(rows: Mapping[str, Row], found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line for each row that was compiled, and below it T5X's of the same shape."""
    lines = []
    for name, row in rows.items():
        if name in found:
            lines.append(_line(row, found[name]))
            if row.reference:
                lines.append(_reference_line(row.reference))
    return table(_GRID_HEADER, lines)


def described(row: Row) -> str:
    """A row in words: its mesh, remat, microbatches, and what else differs."""
    program = row.program
    slices = f"{program.slices} slices of " if program.slices > 1 else ""
    more = [
        name.replace("_", " ")
        for name in program.meshes
        if name not in ("fully_sharded", "multislice")
    ]
    if "ComputeConfig.offload" in program.values:
        more.append("layer inputs on the host, attention by blocks")
    return ", ".join(
        (f"{slices}{program.mesh}", program.remat, str(program.num_microbatches), *more)
    )


def _line(row: Row, plan: Mapping[str, Any]) -> tuple[str, ...]:
    if plan["compiled_flops"] is None:
        needed = f"{_gb(plan['hbm_peak_bytes'])}, does not fit"
        return (described(row), needed, *["-"] * 5, f"{plan['compile_seconds']:.0f}")
    moved = sum(plan["collective_bytes"].values())
    return (
        described(row),
        _gb(plan["hbm_peak_bytes"]) + ("" if plan["fits"] else ", does not fit"),
        f"{plan['compiled_flops'] / 1e12:.0f}",
        _by_kind(plan["counted_bytes"]),
        f"{_by_kind(plan['collective_bytes'])} = {moved / 1e9:.0f}",
        f"{plan['exposed_collective_seconds']:.2f} / {plan['compute_seconds']:.2f}",
        f"{plan['network_bytes'] / 1e9:.2f}" if plan["slices"] > 1 else "-",
        f"{plan['compile_seconds']:.0f}",
    )


def _reference_line(known: Reference) -> tuple[str, ...]:
    moved = f"{known.all_gather:g} + {known.all_reduce:g} + {known.permute:g}"
    return (
        "T5X, the same",
        f"{known.peak:g}",
        f"{known.tflop:g}",
        moved,
        *["-"] * 3,
        f"{known.compile_seconds:g}",
    )


def _by_kind(counted: Mapping[str, float]) -> str:
    """Reduce-scatters stand with all-reduces, of which they are a part."""
    known = dict(counted)
    known["all-reduce"] = known.get("all-reduce", 0) + known.pop("reduce-scatter", 0)
    return " + ".join(f"{known.get(kind, 0) / 1e9:.0f}" for kind in _KINDS)


def _gb(size: float) -> str:
    return f"{size / 1e9:.2f}"
