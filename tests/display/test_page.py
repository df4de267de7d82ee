"""Tables of a page say what they were given, as text."""

import re

from t5x_lite.display.page import Bar, bars


def test_a_bar_is_as_wide_as_its_share():
    table = bars(("task", "share", "rate"), [Bar("a<b", 0.25, ["1"]), Bar("c", 0.75, ["3"])])
    assert re.findall(r"width:([\d.]+)%", table) == ["25.00", "75.00"]
    assert "a&lt;b" in table and "<b" not in table
    assert bars(("task", "share"), []) == ""
