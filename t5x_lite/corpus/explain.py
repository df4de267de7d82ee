"""One page, line by line, with the rule that dropped each line or all of it."""

import dataclasses
import itertools
import os
import urllib.request
from collections.abc import Iterator

from rich.text import Text

from t5x_lite.corpus import apply, build, readers
from t5x_lite.corpus import plan as plans
from t5x_lite.corpus.config import RULES, CorpusConfig
from t5x_lite.corpus.counts import Counts
from t5x_lite.corpus.html import decoded, decompressed, html_fields, html_text
from t5x_lite.corpus.language import detector
from t5x_lite.corpus.page import Page, from_lines
from t5x_lite.corpus.plan import Plan
from t5x_lite.corpus.rules import KEPT, LineRules
from t5x_lite.corpus.warc import Damage
from t5x_lite.display import page as html_page
from t5x_lite.errors import UserError

NOT_LOOKED_AT = "not looked at"
_HTML_NAMES = (".html", ".htm", ".xhtml")
_SECONDS, _MAX_BYTES = 30, 1 << 26
_RULE_WIDTH = 15
_STYLE = """
.lines { font: 13px/1.5 ui-monospace, monospace; }
.lines div { display: flex; gap: 1rem; padding: 0 .5rem; }
.lines b { flex: 0 0 8rem; font-weight: normal; color: var(--soft); }
.lines span { white-space: pre-wrap; overflow-wrap: anywhere; }
.kept { background: var(--new); } .gone { background: var(--gone); }
"""


@dataclasses.dataclass(frozen=True)
class Explained:
    """What became of a page.

    Attributes:
        lines: (line, the rule that dropped it, KEPT or NOT_LOOKED_AT), and of a kept line what is
            left of it.
        rule: that dropped the page, or KEPT.
        why: in words, with what the rule found.
    """

    page: Page
    lines: list[tuple[str, str]]
    rule: str
    why: str


def explain(config: CorpusConfig, target: str, number: int = 1) -> Explained:
    """What the rules do to a page. Duplicates are a matter of a corpus and not looked for.

    Args:
        target: a file, or a URL, which is fetched.
        number: of the page in a file that has several, from 1.

    Raises:
        OSError, UserError: it cannot be read, has no such page, or a rule lacks its list.
    """
    build.check(config)
    plan = Plan(config, (target,), "", 1)
    page = fetched(target) if "://" in target else _page_of(target, config.field, number)
    if rule := apply.page_rule(plan, page):
        lines = [(line, NOT_LOOKED_AT) for line in page.text.split("\n")]
        return Explained(page, lines, rule, RULES[rule].why)
    rules: LineRules = plans.line_rules(config)
    cleaned = rules.clean(page.text)
    lines = [(line.given if line.rule else line.kept, line.rule) for line in cleaned.lines]
    lines += [(line, NOT_LOOKED_AT) for line in cleaned.rest]
    if cleaned.text is None:
        return Explained(page, lines, cleaned.rule, RULES[cleaned.rule].why)
    text, effects = apply.text_left(plan, cleaned.text, set(), set(), Counts())
    rule = KEPT if text is not None else effects[-1].rule
    return Explained(page, lines, rule, _why(plan, rule, cleaned.text))


def as_text(found: Explained) -> Text:
    """For the terminal: kept lines in green, dropped ones in red behind the rule's name."""
    shown = Text()
    for line, rule in found.lines:
        color = {KEPT: "green", NOT_LOOKED_AT: "dim"}.get(rule, "red")
        name = {NOT_LOOKED_AT: "-"}.get(rule, rule or "kept")
        shown.append(f"{name:{_RULE_WIDTH}} ", style="bold" if rule else "dim")
        shown.append(f"{_printable(line)}\n", style=color)
    shown.append(f"\n{verdict(found)}", style="bold")
    return shown


def as_page(found: Explained) -> str:
    """One file of HTML."""
    rows = []
    for line, rule in found.lines:
        kind = {KEPT: "kept", NOT_LOOKED_AT: ""}.get(rule, "gone")
        why = RULES[rule].why if rule in RULES else rule or "kept"
        rows.append(
            f'<div class="{kind}" title="{html_page.text(why)}"><b>{html_page.text(rule or "kept")}'
            f"</b><span>{html_page.text(line)}</span></div>"
        )
    facts = html_page.facts(
        [("page", found.page.url or found.page.key), ("verdict", verdict(found))]
        + [(name, str(value)) for name, value in found.page.more.items()]
    )
    lines = f'<div class="lines">{"".join(rows)}</div>'
    used = {rule for _, rule in found.lines} | {found.rule}
    rules = [(name, RULES[name].why) for name in RULES if name in used]
    sections = [("Lines", lines), ("Rules", html_page.table(("rule", "why"), rules))]
    return html_page.page("A page and the rules", sections, lead=facts, style=_STYLE)


def verdict(found: Explained) -> str:
    """What became of all of it."""
    kept = sum(rule == KEPT for _, rule in found.lines)
    if found.rule == KEPT:
        return f"kept, {kept} of {len(found.lines)} lines; {found.why}"
    return f"dropped by {found.rule}: {found.why}"


def _why(plan: Plan, rule: str, text: str) -> str:
    """In words, with what was found."""
    if rule == "bad_words":
        return f"it has {plans.bad_words(plan.config).found(text)!r}"
    if rule in ("language", KEPT) and "language" in plan.names:
        best = detector(plan.config.detector).best(text)
        return f"language {best.code or 'unknown'} {best.probability:.4f}"
    return RULES[rule].why if rule else "no other rule"


def _printable(line: str) -> str:
    """Without what would move or colour a terminal."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in line)


def _page_of(path: str, field: str, number: int) -> Page:
    if not os.path.isfile(path):
        raise UserError(f"{path}: there is no such file; a URL begins with http:// or https://")
    if path.lower().endswith(_HTML_NAMES):
        with open(path, "rb") as file:
            html = decoded(file.read(_MAX_BYTES))
        return Page(from_lines(html_text(html)), id=os.path.basename(path), more=html_fields(html))
    found = list(itertools.islice(_pages(path, field), number))
    if len(found) < number:
        raise UserError(f"{path} has {len(found)} pages; given is --page={number}")
    return found[-1]


def _pages(path: str, field: str) -> Iterator[Page]:
    """Those of a file; damage alone is an error."""
    damage: Damage | None = None
    num_pages = 0
    for page in readers.pages(path, field=field):
        if isinstance(page, Page):
            num_pages += 1
            yield page
        else:
            damage = damage or page
    if damage is not None and not num_pages:
        raise UserError(str(damage))


def fetched(url: str) -> Page:
    """A page of the web as it is now.

    Raises:
        OSError: it cannot be fetched.
        UserError: it is no page.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise UserError(f"{url}: needed is a file, or a URL of http:// or https://")
    request = urllib.request.Request(url, headers={"User-Agent": "t5x_lite corpus explain"})
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
        kind = answer.headers.get_content_type()
        if not kind.startswith("text/") and kind != "application/xhtml+xml":
            raise UserError(f"{url} is {kind}; needed is a page of HTML or text")
        content = decompressed(
            answer.read(_MAX_BYTES), answer.headers.get("Content-Encoding") or ""
        )
        html = decoded(content, answer.headers.get_content_charset())
    if kind == "text/plain":
        return Page(from_lines(html), url=url)
    return Page(from_lines(html_text(html)), url=url, more=html_fields(html))
