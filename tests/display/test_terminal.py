"""Tables and sizes as plain text."""

import pytest

from t5x_lite.display.terminal import aligned, shown_size


def test_every_column_is_as_wide_as_its_widest_cell():
    rows = [("name", "what", "1"), ("a longer name", "", "1,000"), ("", "x", "")]
    assert aligned(rows).splitlines() == [
        "name           what  1",
        "a longer name        1,000",
        "               x",
    ]
    numbers_right = aligned(rows, numbers_from=2).splitlines()
    assert numbers_right[0] == "name           what      1"
    assert numbers_right[1] == "a longer name        1,000"


def test_rows_of_another_length_are_refused():
    with pytest.raises(ValueError):
        aligned([("a", "b"), ("c",)])


@pytest.mark.parametrize(
    ("num_bytes", "shown"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (1_984_000_000, "1.98 GB"),
        (25 * 10**17, "2.5e+03 PB"),
    ],
)
def test_a_size_has_three_digits_and_never_a_thousand_of_its_unit(num_bytes, shown):
    assert shown_size(num_bytes) == shown
