"""The command reads, prints and writes the page; it says what it chose."""

import io
import re

from rich.console import Console

from t5x_lite.inspection.inspect import inspect_task


def test_a_task_is_printed_and_written(tmp_path):
    """Into a folder that is not there yet; lengths that nobody gave are said."""
    output, path = io.StringIO(), tmp_path / "new" / "page.html"
    console = Console(file=output, width=140)
    inspect_task("short", num_examples=1, max_sample=5, html=str(path), console=console)
    shown = output.getvalue()
    assert "not given, so 512 each" in shown
    assert "numbers are of 5 shuffled examples" in shown
    assert str(path) in shown
    page = path.read_text()
    facts = dict(re.findall(r"<dt>([^<]*)</dt><dd>([^<]*)</dd>", page))
    assert facts["inputs cut at 512"] == "0"
    assert facts["source examples"] == "10"
