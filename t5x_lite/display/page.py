"""The frame of a page: everything that a browser needs stands inside the one file."""

import html
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_STYLE = """
:root { --text: #1b1f24; --back: #fff; --soft: #57606a; --line: #d0d7de; --box: #f6f8fa;
        --gone: #ffebe9; --new: #e6ffec; }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --back: #0d1117; --soft: #9198a1;
        --line: #30363d; --box: #161b22; --gone: #4c1f22; --new: #15381f; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 1240px; color: var(--text);
       background: var(--back); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; }
p, figcaption, .soft { color: var(--soft); }
nav a { margin-right: 1rem; color: inherit; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: left;
         vertical-align: top; }
td.number, th.number { text-align: right; white-space: nowrap; }
pre { padding: .8rem; background: var(--box); border: 1px solid var(--line); overflow-x: auto;
      font: 12.5px/1.45 ui-monospace, monospace; max-height: 32rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(360px, 1fr)); gap: 1rem;
          margin-bottom: 1rem; }
figure { margin: 0; padding: .6rem; border: 1px solid var(--line); border-radius: 6px; }
figcaption { font-weight: 600; }
svg { width: 100%; height: auto; } svg text { font-family: inherit !important; }
.bar { display: flex; width: 18rem; height: .9rem; margin-top: .25rem; background: var(--box);
       border-radius: 2px; overflow: hidden; }
.bar i { background: #0072b2; }
.facts { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1rem 0; }
.facts div { padding: .5rem .9rem; border: 1px solid var(--line); border-radius: 6px; }
.facts dt { color: var(--soft); font-size: .82rem; }
.facts dd { margin: 0; font-size: 1.15rem; font-variant-numeric: tabular-nums; }
.diff td:nth-child(2) { background: var(--gone); } .diff td:nth-child(3) { background: var(--new); }
td.text { min-width: 11rem; max-width: 24rem; white-space: pre-wrap; overflow-wrap: anywhere; }
"""


class Bar(NamedTuple):
    """A row of `bars`: what stands before the bar, its share of the whole (0 to 1) and what stands
    behind it, a cell each.
    """

    label: str
    share: float
    cells: Sequence[str]


def page(
    title: str, sections: Iterable[tuple[str, str]], *, lead: str = "", style: str = ""
) -> str:
    """A document of (heading, HTML) sections; those without content are left out.

    Args:
        lead: HTML between the title and the first section.
        style: CSS of what only this page has.
    """
    filled = [(heading, body) for heading, body in sections if body]
    links = "".join(f'<a href="#{_anchor(heading)}">{text(heading)}</a>' for heading, _ in filled)
    bodies = "".join(
        f'<h2 id="{_anchor(heading)}">{text(heading)}</h2>\n{body}\n' for heading, body in filled
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{_STYLE}{style}</style></head>\n<body>"
        f"<h1>{text(title)}</h1>\n<nav>{links}</nav>\n{lead}{bodies}</body></html>\n"
    )


def text(value: object) -> str:
    """Any text, as text: what a model wrote is not trusted to be harmless."""
    return html.escape(str(value))


def table(
    header: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    numbers_from: int | None = None,
    class_name: str = "",
) -> str:
    """Rows of text; columns from `numbers_from` on are aligned right. Empty without rows."""
    rows = list(rows)
    if not rows:
        return ""

    def cells(row: Sequence[object], tag: str) -> str:
        return "".join(
            f'<{tag} class="{_kind(index, numbers_from, tag)}">{text(value)}</{tag}>'
            for index, value in enumerate(row)
        )

    body = "\n".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table class="{class_name}"><thead><tr>{cells(header, "th")}</tr>'
        f"</thead><tbody>\n{body}\n</tbody></table></div>"
    )


def bars(header: Sequence[str], rows: Sequence[Bar]) -> str:
    """A table with a bar in its second column; `header` is of all columns. Empty without rows."""
    if not rows:
        return ""
    titles = "".join(
        f'<th class="{"number" if index > 1 else ""}">{text(each)}</th>'
        for index, each in enumerate(header)
    )
    body = "\n".join(
        f'<tr><td>{text(row.label)}</td><td><div class="bar">'
        f'<i style="width:{100 * row.share:.2f}%"></i></div></td>'
        + "".join(f'<td class="number">{text(cell)}</td>' for cell in row.cells)
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="scroll"><table class="bars"><thead><tr>{titles}</tr></thead><tbody>\n{body}\n'
        f"</tbody></table></div>"
    )


def facts(named: Iterable[tuple[str, str]]) -> str:
    """A few numbers that say most."""
    pairs = "".join(
        f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in named
    )
    return f'<dl class="facts">{pairs}</dl>'


def folded(summary: str, body: str) -> str:
    """What is looked at rarely; empty without a body."""
    return f"<details><summary>{text(summary)}</summary>{body}</details>" if body else ""


def code(lines: str) -> str:
    """Text as it is; empty without any."""
    return f"<pre>{text(lines)}</pre>" if lines.strip() else ""


def _kind(index: int, numbers_from: int | None, tag: str) -> str:
    if numbers_from is not None and index >= numbers_from:
        return "number"
    return "text" if tag == "td" and numbers_from is None else ""


def _anchor(heading: str) -> str:
    return heading.lower().replace(" ", "-").replace(",", "")
