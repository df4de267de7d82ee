"""The frame of a page: everything that a browser needs stands inside the one file."""

import html
from collections.abc import Iterable, Sequence

# Told apart also by people who do not see all colours (Okabe and Ito); on a dark ground blue is
# lighter and black is white.
_LIGHT = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#000000")
_DARK = ("#3b9ede", "#e8743b", "#1fbf92", "#d98fb8", "#e69f00", "#9ad4f5", "#9a9a9a", "#ffffff")
NUM_COLORS = len(_LIGHT)


def _variables(colors: Sequence[str]) -> str:
    return " ".join(f"--color-{index}: {color};" for index, color in enumerate(colors))


_STYLE = (
    f":root {{ {_variables(_LIGHT)} }}\n"
    f"@media (prefers-color-scheme: dark) {{ :root {{ {_variables(_DARK)} }} }}"
    """
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
svg { width: 100%; height: auto; } svg text { font-size: 11px; fill: var(--soft); }
svg .grid { stroke: var(--line); } svg polyline { stroke-width: 1.6; fill: none; }
svg .cursor { stroke: var(--soft); stroke-dasharray: 2 2; }
.key { display: inline-block; margin-right: .9rem; font-size: .85rem; cursor: pointer; }
.key i { display: inline-block; width: 1.4rem; margin-right: .3rem; vertical-align: middle; }
.key.off, .line.off { opacity: .15; }
.values { min-height: 1.3rem; font-size: .82rem; color: var(--soft); }
svg .mark { stroke: var(--text); stroke-dasharray: 4 3; }
.key .swatch { width: .8rem; height: .8rem; border-radius: 2px; }
.bar { display: flex; width: 18rem; height: .9rem; margin-top: .25rem; background: var(--box);
       border-radius: 2px; overflow: hidden; }
.facts { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1rem 0; }
.facts div { padding: .5rem .9rem; border: 1px solid var(--line); border-radius: 6px; }
.facts dt { color: var(--soft); font-size: .82rem; }
.facts dd { margin: 0; font-size: 1.15rem; font-variant-numeric: tabular-nums; }
.diff td:nth-child(2) { background: var(--gone); } .diff td:nth-child(3) { background: var(--new); }
td.text { min-width: 11rem; max-width: 24rem; white-space: pre-wrap; overflow-wrap: anywhere; }
"""
)

_SCRIPT = """
for (const svg of document.querySelectorAll("svg[data-series]")) {
  const figure = svg.closest("figure"), values = figure.querySelector(".values");
  const series = JSON.parse(svg.dataset.series), hidden = new Set();
  for (const key of figure.querySelectorAll(".key")) key.onclick = () => {
    const index = Number(key.dataset.line), off = !hidden.has(index);
    off ? hidden.add(index) : hidden.delete(index);
    key.classList.toggle("off", off);
    svg.querySelector(`.line[data-line="${index}"]`).classList.toggle("off", off);
  };
  const cursor = document.createElementNS("http://www.w3.org/2000/svg", "line");
  cursor.setAttribute("class", "cursor"); cursor.setAttribute("y1", 10);
  cursor.setAttribute("y2", 220);
  svg.onmousemove = (event) => {
    const point = new DOMPoint(event.clientX, event.clientY)
      .matrixTransform(svg.getScreenCTM().inverse());
    const near = (all) => all.reduce((a, b) =>
      Math.abs(b[2] - point.x) < Math.abs(a[2] - point.x) ? b : a);
    const shown = series.map((each, index) => [each.label, near(each.points), index])
      .filter((each) => !hidden.has(each[2]));
    if (!shown.length) return;
    const at = near(shown.map((each) => each[1]));
    cursor.setAttribute("x1", at[2]); cursor.setAttribute("x2", at[2]); svg.append(cursor);
    values.textContent = `step ${at[0]}: ` + shown.map(([label, found]) =>
      `${label} ${Number(found[1].toPrecision(5))}` +
      (found[0] === at[0] ? "" : ` (step ${found[0]})`)).join(", ");
  };
  svg.onmouseleave = () => { cursor.remove(); values.textContent = ""; };
}
"""


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
        f"<h1>{text(title)}</h1>\n<nav>{links}</nav>\n{lead}{bodies}"
        f"<script>{_SCRIPT}</script></body></html>\n"
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
