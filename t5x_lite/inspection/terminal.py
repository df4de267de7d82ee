"""What was found, on a terminal in colour and without colour where it goes to a file."""

from collections.abc import Sequence

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from t5x_lite.data.pieces import Kind, Piece
from t5x_lite.data.prompts import Prompt
from t5x_lite.inspection.findings import Findings, ShownExample, ShownFeature, TaskFindings
from t5x_lite.inspection.wording import (
    characters,
    demonstrated,
    headline,
    per_cent,
    sampled,
    sentinel_range,
    spaced,
    warnings,
)

# Told apart on dark and light terminals; one sentinel has one colour on both sides.
_SENTINEL_STYLES = tuple(
    f"bold {name}" for name in ("magenta", "cyan", "green", "yellow", "blue", "red")
)
_STYLES = {
    Kind.START: "dim",
    Kind.END: "dim",
    Kind.MASK: "bold magenta",
    Kind.CHOSEN: "bold magenta",
    Kind.PADDING: "dim",
    Kind.UNKNOWN: "reverse",
    Kind.OUTSIDE: "reverse",
    Kind.DEMONSTRATION: "cyan",
    Kind.ITEM: "bold",
}


def print_findings(findings: Findings, console: Console, *, ids: bool = False) -> None:
    """The examples first, then the numbers.

    Args:
        ids: also shows the ids that the texts were decoded from.
    """
    console.print(Text(findings.name, style="bold"), Text(headline(findings)))
    if findings.shares:
        console.print(shares_table(findings))
    for task in findings.tasks:
        console.print(Text(task.name, style="bold"), Text(sampled(task)))
        for index, example in enumerate(task.examples):
            console.print(example_table(index, example, ids=ids))
    if any(task.features for task in findings.tasks):
        console.print(lengths_table(findings))
        console.print(packing_table(findings))
        if any(f.sentinels.any() or f.unknown.any() for t in findings.tasks for f in _all(t)):
            console.print(pieces_table(findings))
    for warning in warnings(findings):
        console.print(Text("! ", style="bold yellow") + Text(warning))


def example_table(index: int, example: ShownExample, *, ids: bool) -> Table:
    """Inputs and targets side by side, and whatever else the task keeps below."""
    table = Table(box=box.ROUNDED, title=f"example {index}", title_justify="left", expand=True)
    cells: list[RenderableType] = []
    for name, feature in example.features.items():
        cut = f"{len(feature.ids)} of {feature.limit} tokens"
        table.add_column(f"{name} ({cut})", overflow="fold", ratio=_ratio(feature))
        cells.append(_cell(feature, ids=ids))
    below = [f"{k}: {_one_line(v)}" for k, v in example.others.items()]
    if example.prompt is not None:
        below.insert(0, demonstrated(example.prompt))
        if example.prompt.options:
            table.add_column("options", overflow="fold", ratio=20)
            cells.append(_options(example.prompt))
    table.add_row(*cells)
    if below:
        table.caption, table.caption_justify = Text(", ".join(below)), "left"
    return table


def decoded(pieces: Sequence[Piece]) -> Text:
    """Text with its special pieces visible."""
    text = Text()
    for before, piece in spaced(pieces):
        text.append(before)
        text.append(piece.text, style=_style(piece))
    return text


def _options(prompt: Prompt) -> Text:
    """One a line, the right one marked."""
    text = Text()
    for place, option in enumerate(prompt.options):
        is_right = place == prompt.right
        text.append(
            f"{'*' if is_right else '-'} {option}\n", style="bold green" if is_right else ""
        )
    return text


def lengths_table(findings: Findings) -> Table:
    """Percentiles of lengths before trimming, and what the limit costs."""
    first = findings.tasks[0].features
    table = _numbers("tokens of an example, before trimming", ("task", "feature"))
    names = (*next(iter(first.values())).percentiles, "limit", "truncated", "tokens lost", "mean")
    for name in names:
        table.add_column(name, justify="right")
    for task in findings.tasks:
        for index, (name, each) in enumerate(task.features.items()):
            cells = [f"{n:,}" for n in each.percentiles.values()]
            cells += [f"{each.limit:,}", per_cent(each.truncated), per_cent(each.lost_tokens)]
            cells.append(f"{each.lengths.mean():,.1f}")
            table.add_row("" if index else task.name, name, *cells)
    return table


def packing_table(findings: Findings) -> Table:
    """Padding in rows of several examples, as training packs them, and of one."""
    fill = findings.fill
    assert fill is not None, "it is measured together with lengths"
    title = (
        f"padding: {fill.examples:,} examples packed into {fill.rows:,} rows, "
        f"{fill.examples / fill.rows:.2f} in a row"
    )
    table = _numbers(title, ("feature",))
    for name in ("positions", "padding, packed", "padding, one example a row"):
        table.add_column(name, justify="right")
    unpacked = findings.padding_unpacked
    for name, filled in fill.filled.items():
        cells = f"{findings.lengths[name]:,}", per_cent(1 - filled), per_cent(unpacked[name])
        table.add_row(name, *cells)
    return table


def pieces_table(findings: Findings) -> Table:
    """Sentinels and unknown tokens."""
    table = _numbers("sentinels and unknown tokens", ("task", "feature"))
    for name in ("sentinels an example", "highest", "unknown tokens", "examples with any"):
        table.add_column(name, justify="right")
    table.add_column("unknown characters", overflow="fold")
    for task in findings.tasks:
        for index, (name, each) in enumerate(task.features.items()):
            highest = "-" if each.highest_sentinel is None else str(each.highest_sentinel)
            unknown = per_cent(each.unknown_share), per_cent(float((each.unknown > 0).mean()))
            table.add_row(
                "" if index else task.name,
                name,
                sentinel_range(each),
                highest,
                *unknown,
                "" if index else characters(task.unknown_characters),
            )
    return table


def shares_table(findings: Findings) -> Table:
    """What a mixture draws, asked for and counted."""
    table = _numbers(f"shares, and what {findings.num_draws:,} draws came to", ("task",))
    for name in ("rate", "share", "drawn", "share of tokens", "source examples"):
        table.add_column(name, justify="right")
    counts = {task.name: task.num_source_examples for task in findings.tasks}
    for row in findings.shares:
        count = counts.get(row.name)
        table.add_row(
            row.name,
            f"{row.rate:,.6g}",
            f"{100 * row.share:.2f} %",
            f"{100 * row.drawn:.2f} %",
            "-" if row.tokens is None else f"{100 * row.tokens:.2f} %",
            "?" if count is None else f"{count:,}",
        )
    return table


def _all(task: TaskFindings) -> Sequence:
    return list(task.features.values())


def _cell(feature: ShownFeature, *, ids: bool) -> RenderableType:
    text = decoded(feature.pieces)
    if not ids:
        return text
    return Group(text, Text(" ".join(map(str, feature.ids)), style="dim"))


def _style(piece: Piece) -> str:
    if piece.sentinel is not None:
        return _SENTINEL_STYLES[piece.sentinel % len(_SENTINEL_STYLES)]
    return _STYLES.get(piece.kind, "")


def _ratio(feature: ShownFeature) -> int:
    """Width by amount of text, within bounds."""
    return min(max(len(feature.ids), 20), 60)


def _numbers(title: str, columns: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold")
    return table


def _one_line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else text[:57] + "..."
