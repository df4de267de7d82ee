"""The table of metrics in docs/evaluation.md, for tasks of one's own."""

import importlib
import pathlib
import re

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs" / "evaluation.md"
# | `file`, `file` | `name`, `name(argument)`; remarks |
ROW = re.compile(r"^\| ((?:`\w+`(?:, )?)+) \| (.*`\w+.*) \|$", re.MULTILINE)


def test_each_name_is_where_the_page_says():
    """And can be called."""
    _, _, section = PAGE.read_text().partition("under T5's names")
    table = section.partition("What a model writes")[0]
    found = 0
    for files, names in ROW.findall(table):
        modules = [
            importlib.import_module(f"t5x_lite.metrics.{name}")
            for name in re.findall(r"`(\w+)`", files)
        ]
        for name in re.findall(r"`(\w+)(?:\(\w+\))?`", names):
            assert any(callable(getattr(module, name, None)) for module in modules), name
            found += 1
    assert found == 17
