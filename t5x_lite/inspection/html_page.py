"""What was found, as one page that needs no other file and no network."""

from collections.abc import Sequence

from t5x_lite.data.pieces import Kind, Piece
from t5x_lite.data.prompts import Prompt
from t5x_lite.display import page
from t5x_lite.display.charts import histogram
from t5x_lite.display.page import Bar, bars
from t5x_lite.inspection.findings import Findings, ShownExample, TaskFindings
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

# Red, green, blue: told apart also by people who do not see all colours; thin enough for text of
# both a light and a dark page to be read on them.
_SENTINEL_COLORS = (
    "0,114,178",
    "213,94,0",
    "0,158,115",
    "204,121,167",
    "230,159,0",
    "86,180,233",
)
_STYLE = """
.pieces { white-space: pre-wrap; overflow-wrap: anywhere; }
.pieces b { padding: 0 .3rem; border-radius: 3px; font: 12px/1.5 ui-monospace, monospace;
            background: var(--box); border: 1px solid var(--line); }
.pieces b.unknown, .pieces b.outside { background: #d55e00; color: #fff; border: 0; }
.pieces .demonstration { color: rgb(0,114,178); }
.pieces .item, .right { font-weight: 600; }
.pieces b.mask, .pieces .chosen { background: rgba(204,121,167,.28); }
.pieces b.mask { border-color: rgb(204,121,167); }
.pieces b.start, .pieces b.end, .pieces b.padding { color: var(--soft); }
table.example { width: 100%; table-layout: fixed; margin-bottom: 1.2rem; }
.warning { border-left: 3px solid #e69f00; padding-left: .8rem; color: var(--text); }
""" + "".join(
    f".pieces b.s{index} {{ background: rgba({color},.28); border-color: rgb({color}); }}\n"
    for index, color in enumerate(_SENTINEL_COLORS)
)


def html_page(findings: Findings) -> str:
    """A document of examples, histograms of lengths, padding, special pieces and shares."""
    warned = "".join(f'<p class="warning">{page.text(each)}</p>' for each in warnings(findings))
    return page.page(
        f"Inspect: {findings.name}",
        [
            ("Shares", shares(findings)),
            ("Examples", "".join(examples(task) for task in findings.tasks)),
            ("Lengths", lengths(findings)),
            ("Padding", padding(findings)),
            ("Sentinels and unknown tokens", special_pieces(findings)),
        ],
        lead=f"<p>{page.text(headline(findings))}</p>{facts(findings)}{warned}",
        style=_STYLE,
    )


def facts(findings: Findings) -> str:
    """The numbers to look at first."""
    named = []
    if not findings.is_mixture:
        [task] = findings.tasks
        count = task.num_source_examples
        named.append(("source examples", "unknown" if count is None else f"{count:,}"))
        named += [
            (f"{name} cut at {each.limit}", per_cent(each.truncated))
            for name, each in task.features.items()
        ]
    if findings.fill is not None:
        named += [
            (f"padding of {name}, packed", per_cent(1 - filled))
            for name, filled in findings.fill.filled.items()
        ]
        each = findings.fill.examples / findings.fill.rows
        named.append(("examples in a packed row", f"{each:.2f}"))
    return page.facts(named)


def shares(findings: Findings) -> str:
    """What a mixture draws."""
    counts = {task.name: task.num_source_examples for task in findings.tasks}
    rows = []
    for row in findings.shares:
        count = counts.get(row.name)
        cells = [f"{row.rate:,.6g}", f"{100 * row.share:.2f} %", f"{100 * row.drawn:.2f} %"]
        cells.append("-" if row.tokens is None else f"{100 * row.tokens:.2f} %")
        cells.append("?" if count is None else f"{count:,}")
        rows.append(Bar(row.name, row.share, cells))
    names = ("rate", "share", f"of {findings.num_draws:,} draws", "of the tokens")
    return bars(("task", "share of the examples", *names, "source examples"), rows)


def examples(task: TaskFindings) -> str:
    """Of one task, inputs and targets side by side."""
    shown = "".join(_example(each) for each in task.examples)
    return f"<h3>{page.text(task.name)}</h3><p>{page.text(sampled(task))}</p>{shown}"


def lengths(findings: Findings) -> str:
    """A histogram of each feature of each task, and percentiles."""
    charts, rows = [], []
    for task in findings.tasks:
        for name, each in task.features.items():
            share = per_cent(each.truncated) if each.truncated else "none"
            cut = f"cut at {each.limit:,}: {share}"
            title = f"{task.name}: {name}, tokens"
            charts.append(histogram(title, each.lengths, limit=each.limit, note=cut))
            cells = [f"{n:,}" for n in each.percentiles.values()]
            cells += [f"{each.limit:,}", per_cent(each.truncated), per_cent(each.lost_tokens)]
            rows.append((task.name, name, *cells))
    if not charts:
        return ""
    names = next(iter(findings.tasks[0].features.values())).percentiles
    header = ("task", "feature", *names, "limit", "truncated", "tokens lost")
    return (
        "<p>Of examples before trimming; bars behind the limit lose tokens.</p>"
        f'<div class="charts">{"".join(charts)}</div>{page.table(header, rows, numbers_from=2)}'
    )


def padding(findings: Findings) -> str:
    """Tokens and padding in the rows of a batch."""
    if findings.fill is None:
        return ""
    rows = []
    for name, filled in findings.fill.filled.items():
        unpacked = 1 - findings.padding_unpacked[name]
        for how, share in (("packed", filled), ("one example a row", unpacked)):
            cells = (per_cent(1 - share), f"{findings.lengths[name]:,}")
            rows.append(Bar(f"{name}, {how}", share, cells))
    read = (
        f"<p>{findings.fill.examples:,} examples packed into {findings.fill.rows:,} rows by the "
        "code that packs for training.</p>"
    )
    return read + bars(("", "tokens in a row", "padding", "positions"), rows)


def special_pieces(findings: Findings) -> str:
    """Sentinels, unknown tokens and the characters behind them; empty if there are none."""
    rows = []
    for task in findings.tasks:
        for name, each in task.features.items():
            if each.sentinels.any() or each.unknown.any():
                highest = "-" if each.highest_sentinel is None else str(each.highest_sentinel)
                cells = sentinel_range(each), highest, per_cent(each.unknown_share)
                rows.append((task.name, name, *cells, characters(task.unknown_characters)))
    header = ("sentinels an example", "highest", "unknown tokens", "unknown characters")
    return page.table(("task", "feature", *header), rows, numbers_from=2)


def _example(example: ShownExample) -> str:
    header = "".join(
        f"<th>{page.text(name)} ({len(each.ids)} of {each.limit} tokens)</th>"
        for name, each in example.features.items()
    )
    cells = "".join(
        f'<td class="pieces">{_decoded(each.pieces)}</td>' for each in example.features.values()
    )
    if example.prompt is not None and example.prompt.options:
        header += "<th>options</th>"
        cells += f'<td class="pieces">{_options(example.prompt)}</td>'
    said = [] if example.prompt is None else [demonstrated(example.prompt)]
    others = ", ".join([*said, *(f"{name}: {value}" for name, value in example.others.items())])
    below = f'<p class="soft">{page.text(others)}</p>' if others else ""
    return (
        f'<table class="example"><thead><tr>{header}</tr></thead><tbody><tr>{cells}</tr></tbody>'
        f"</table>{below}"
    )


def _options(prompt: Prompt) -> str:
    """One a line, the right one marked."""
    lines = []
    for place, option in enumerate(prompt.options):
        shown = page.text(option)
        lines.append(
            f'<span class="right">* {shown}</span>' if place == prompt.right else f"- {shown}"
        )
    return "<br>".join(lines)


def _decoded(pieces: Sequence[Piece]) -> str:
    return "".join(before + _piece(each) for before, each in spaced(pieces))


def _piece(piece: Piece) -> str:
    shown = page.text(piece.text)
    if piece.kind is Kind.TEXT:
        return shown
    is_text = piece.kind in (Kind.DEMONSTRATION, Kind.ITEM, Kind.CHOSEN)
    tag = "span" if is_text else "b"
    return f'<{tag} class="{_class(piece)}">{shown}</{tag}>'


def _class(piece: Piece) -> str:
    if piece.sentinel is None:
        return piece.kind.value
    return f"s{piece.sentinel % len(_SENTINEL_COLORS)}"
