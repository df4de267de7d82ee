"""What the terminal shows, readable without colour."""

import dataclasses
import io
import re

from rich.console import Console

from t5x_lite.inspection.terminal import print_findings


def printed(findings, *, ids=False, color=None):
    output = io.StringIO()
    console = Console(file=output, width=140, force_terminal=bool(color), color_system=color)
    print_findings(findings, console, ids=ids)
    return output.getvalue()


def test_examples_stand_side_by_side(hidden):
    """Without a terminal there is no colour, and sentinels have their names."""
    shown = printed(hidden, ids=True)
    assert "\x1b" not in shown
    (line,) = [line for line in shown.splitlines() if "ab<extra_id_0>" in line]
    assert "ab<extra_id_0>cd<extra_id_1> </s>" in line
    assert "<extra_id_0>xy<extra_id_1>z </s>" in line
    assert "100 101 268 102 103 267 1" in shown
    assert "inputs (7 of 512 tokens)" in shown and "269 ids" in shown


def test_a_sentinel_has_one_colour_on_both_sides(hidden):
    """And another sentinel has another."""
    styles = {}
    for style, name in re.findall(
        r"\x1b\[([\d;]+)m<extra_id_(\d)>", printed(hidden, color="standard")
    ):
        styles.setdefault(name, []).append(style)
    assert {name: len(found) for name, found in styles.items()} == {"0": 2, "1": 2}
    assert len(set(styles["0"])) == len(set(styles["1"])) == 1
    assert styles["0"] != styles["1"]


def test_no_color_is_respected(hidden, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    shown = printed(hidden, color="standard")
    assert not re.search(r"\x1b\[[\d;]*3\dm", shown)
    assert "<extra_id_1>" in shown


def test_numbers_are_printed(short):
    shown = printed(short)
    cells = [line.split() for line in shown.splitlines()]
    assert "short inputs 6 10 11 11 11 8 30.0 % 9.2 % 6.5".split() in cells
    assert "10 examples packed into" in shown
    assert "! short: 30.0 % of the inputs are cut at 8; 11 would hold 99 % of them" in shown


def test_a_targets_length_that_leaves_padding_is_told(hidden):
    """Corrupted targets of 6 tokens; of the chosen length there is nothing to say."""
    assert "corrupted" not in printed(hidden).split("example 0")[1]
    (task,) = hidden.tasks
    targets = dataclasses.replace(task.features["targets"], limit=24)
    task = dataclasses.replace(task, features={**task.features, "targets": targets})
    shown = printed(dataclasses.replace(hidden, tasks=[task]))
    assert "corrupted targets have at most 6 tokens, so a length of 24 is 75.0 % padding" in shown


def test_a_mixture_shows_its_shares_and_every_task(nested):
    shown = printed(nested)
    assert re.search(r"short +1.5 +37.50 % +3\d\.\d\d %", shown)
    assert shown.count("example 0") == 3
