"""What was measured, as markdown: a table for each part."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from benchmarks.accelerator import arithmetic, search
from benchmarks.accelerator.results import Results
from benchmarks.markdown import table

NOT_YET = ["Nothing of it is measured yet."]
Line = Mapping[str, Any]


def all_tables(results: Results) -> list[str]:
    """Of all parts, and what is not measured, and why."""
    parts = (_machine, _training, _decoding, _attention, _parity, _lacking)
    told = [lines for part in parts if (lines := part(results))]
    about = [_about(results)] if results.measured() else NOT_YET
    return [*about, *(line for lines in told for line in ("", *lines))]


def _about(results: Results) -> str:
    lines = results.measured()
    cards, dates = ({line[name]: None for line in lines} for name in ("card", "date"))
    versions = dict.fromkeys(
        f"{name} {version}" for line in lines for name, version in line["versions"].items()
    )
    return f"{', '.join(cards)}; {', '.join(dates)}; {', '.join(versions)}."


def _machine(results: Results) -> list[str]:
    lines = results.measured("machine")
    if not lines:
        return []
    found = lines[-1]["found"]
    nominal = arithmetic.nominal_gigabytes(lines[-1]["card"])
    head = ["bfloat16 products, TFLOP/s", "copying, GB/s", "summing, GB/s", "nominal GB/s"]
    copying, summing = found["copy_gb_per_second"], found["sum_gb_per_second"]
    row = [f"{found['peak_gflops'] / 1e3:.3g}", f"{copying:.0f}", f"{summing:.0f}"]
    return table(head, [[*row, "-" if nominal is None else f"{nominal:.0f}"]])


def _training(results: Results) -> list[str]:
    head = [
        "training",
        "arm",
        "ms a step",
        "tokens/s",
        "MFU",
        "nominal MFU",
        "GB",
        "first",
        "tried",
    ]
    rows = [_trained(results, size, arm) for size, arm in _arms(results, "train")]
    return table(head, rows) if rows else []


def _arms(results: Results, part: str) -> dict[tuple[str, str], None]:
    return {(line["options"]["size"], line["arm"]): None for line in results.measured(part)}


def _trained(results: Results, size: str, arm: str) -> list[str]:
    """The batch of most tokens a second, in all turns."""
    known = results.tries(size, arm)
    best, tried = search.best(known), ", ".join(_tried(known))
    if best is None:
        return [size, arm, *["-"] * 6, tried]
    every = [
        line
        for line in results.measured("train")
        if line["options"] | {"size": size, **best._asdict()} == line["options"]
        and line["arm"] == arm
        and "seconds" in line["found"]
    ]
    found, card = every[0]["found"], every[0]["card"]
    taken = [seconds for line in every for seconds in line["found"]["seconds"]]
    median, machine = statistics.median(taken), results.found("machine")
    options = every[0]["options"]
    shape = f"{size}, {best.batch} x {options['inputs']} + {options['targets']}"
    return [
        shape if best.remat == "none" else f"{shape}, remat {best.remat}",
        arm,
        _spread([1e3 * each for each in taken]),
        f"{found['tokens'] / median:.4g}",
        _share(machine, lambda known: arithmetic.measured_mfu(found["flops"], median, known)),
        _percent(arithmetic.nominal_mfu(found["flops"], median, card)),
        f"{found['peak_bytes'] / 1e9:.1f}",
        f"{found['first_seconds']:.0f}",
        tried,
    ]


def _tried(known: search.Known) -> Iterator[str]:
    for one, speed in known.items():
        words = f"{one.batch}" if one.remat == "none" else f"{one.batch} {one.remat}"
        yield words if speed is not None else f"{words} does not fit"


def _decoding(results: Results) -> list[str]:
    head = ["decoding", "arm", "ms", "tokens/s", "of the limit", "bytes a weight", "GB", "first"]
    machine = results.found("machine")
    rows = [_decoded(line, machine) for line in results.measured("decode")]
    return table(head, rows) if rows else []


def _decoded(line: Line, machine: Line | None) -> list[str]:
    found, options = line["found"], line["options"]
    shape = f"{options['size']}, {options['batch']} x {options['inputs']} + {options['targets']}"
    if "seconds" not in found:
        return [shape, line["arm"], "does not fit", *["-"] * 5]
    median = statistics.median(found["seconds"])
    return [
        shape,
        line["arm"],
        _spread([1e3 * each for each in found["seconds"]]),
        f"{found['tokens'] / median:.4g}",
        _share(machine, lambda known: arithmetic.of_the_limit(line, median, known)),
        f"{found['weight_bytes']:.3g}",
        f"{found['peak_bytes'] / 1e9:.1f}",
        f"{found['first_seconds']:.0f}",
    ]


def _attention(results: Results) -> list[str]:
    rows = [
        [shape["name"], form, *_form(told)]
        for line in results.measured("attention")
        for shape in line["found"].get("shapes", ())
        for form, told in shape["forms"].items()
    ]
    head = ["attention, forward and backward", "form", "ms", "largest difference from dense"]
    return table(head, rows) if rows else []


def _form(told: Mapping[str, Any]) -> list[str]:
    if "milliseconds" in told:
        return [f"{told['milliseconds']:.3g}", f"{told['difference']:.1e}"]
    (kind,) = told
    return ["-", kind if kind == "refused" else f"failed: {_plain(told[kind])}"]


def _parity(results: Results) -> list[str]:
    rows = [
        [name, f"{told['difference']:.1e}", f"{told['tolerance']:.0e}", _verdict(told)]
        for line in results.measured("parity")
        for name, told in line["found"].get("checks", {}).items()
    ]
    head = ["card beside CPU, float32", "largest difference", "tolerance", "is"]
    return table(head, rows) if rows else []


def _verdict(told: Mapping[str, float]) -> str:
    return "within" if told["difference"] <= told["tolerance"] else "NOT within"


def _lacking(results: Results) -> list[str]:
    rows = [[name, _plain(why)] for name, why in results.lacking().items()]
    return table(["not measured", "because"], rows) if rows else []


def _plain(text: str) -> str:
    """Words that end no cell of a table."""
    return text.replace("|", "/")


def _share(machine: Line | None, of: Callable[[Line], float]) -> str:
    """Of what the card can do, if that was measured."""
    return _percent(None if machine is None else of(machine))


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.4g} ({min(values):.4g} to {max(values):.4g})"
