"""What a build tells: every rule with what it did, on the terminal, as JSON and as a page."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from t5x_lite.corpus.config import RULES
from t5x_lite.corpus.counts import BLANKS, Counts, Tally
from t5x_lite.display import page
from t5x_lite.display.terminal import aligned, shown_size

_HEADER = ("rule", "pages dropped", "pages changed", "lines", "bytes", "")
_MOST_LANGUAGES = 10


def as_json(
    settings: Mapping[str, Any], names: Collection[str], counts: Counts, seconds: float
) -> dict[str, Any]:
    """All numbers; `bytes read` is what is kept and what each rule dropped."""
    rules = {
        rule.name: {"why": rule.why, **dataclasses.asdict(counts.rules.get(rule.name, Tally()))}
        for rule in RULES.values()
        if rule.name in names
    }
    blanks = counts.rules.get(BLANKS, Tally())
    return {
        "corpus": dict(settings),
        "read": {"pages": counts.read[0], "bytes": counts.read[1]},
        "kept": {"pages": counts.kept[0], "bytes": counts.kept[1], "changed": counts.changed},
        "splits": dict(counts.splits),
        "rules": rules | {BLANKS: {"why": "line ends and blanks", **dataclasses.asdict(blanks)}},
        "languages_dropped": dict(counts.languages.most_common()),
        "damaged": {"count": counts.num_damaged, "first": counts.damage},
        "seconds": round(seconds, 1),
    }


def as_text(report: Mapping[str, Any]) -> str:
    """For the terminal and logs."""
    lines = [aligned([_HEADER, *_rows(report)], numbers_from=None)]
    kept, read = report["kept"], report["read"]
    lines.append(
        f"\nread {read['pages']:,} pages, {shown_size(read['bytes'])}; kept {kept['pages']:,} "
        f"documents, {shown_size(kept['bytes'])}"
        f" ({', '.join(f'{name} {count:,}' for name, count in sorted(report['splits'].items()))})"
    )
    if languages := _languages(report):
        lines.append(f"languages dropped: {languages}")
    damaged = report["damaged"]
    if damaged["count"]:
        lines.append(f"damaged: {damaged['count']:,}")
        lines += [f"  {where}" for where in damaged["first"]]
    return "\n".join(lines)


def as_page(report: Mapping[str, Any]) -> str:
    """One file of HTML."""
    read, kept = report["read"], report["kept"]
    facts = page.facts(
        [
            ("pages read", f"{read['pages']:,}"),
            ("text read", shown_size(read["bytes"])),
            ("documents kept", f"{kept['pages']:,}"),
            ("text kept", shown_size(kept["bytes"])),
            ("of the text", f"{kept['bytes'] / max(read['bytes'], 1):.1%}"),
        ]
    )
    share = [
        page.Bar(
            name, rule["bytes_dropped"] / max(read["bytes"], 1), [f"{rule['bytes_dropped']:,}"]
        )
        for name, rule in report["rules"].items()
    ]
    corpus = report["corpus"]
    settings = [
        [name, value] for name, value in corpus["settings"].items() if value not in ("", None)
    ]
    sections = [
        ("Rules", page.table(_HEADER, _rows(report))),
        ("Text dropped", page.bars(("rule", "share", "bytes"), share)),
        ("Languages dropped", page.code(_languages(report))),
        ("Damaged input", page.code("\n".join(report["damaged"]["first"]))),
        ("Settings", page.table(("name", "value"), settings)),
        ("Input", page.table(("file", "bytes"), corpus["inputs"], numbers_from=1)),
    ]
    return page.page("Corpus", sections, lead=facts)


def _rows(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    fields = ("pages_dropped", "pages_changed", "lines_dropped", "bytes_dropped")
    return [
        (name, *(f"{rule[field]:,}" for field in fields), rule["why"])
        for name, rule in report["rules"].items()
    ]


def _languages(report: Mapping[str, Any]) -> str:
    found = list(report["languages_dropped"].items())
    return ", ".join(f"{code or 'none'} {count:,}" for code, count in found[:_MOST_LANGUAGES])
