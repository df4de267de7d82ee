"""The page: one file, whole, with the same findings as the terminal."""

import re

import pytest

from t5x_lite.inspection.html_page import html_page


@pytest.fixture(scope="module")
def page(nested):
    """Of a mixture of three tasks."""
    return html_page(nested)


def test_it_is_one_file(page):
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert addresses
    assert all(address.startswith("#") for address in addresses)
    assert "@import" not in page and "url(" not in page


def test_it_shows_all_of_it(page):
    """Shares as bars, a histogram for each feature of each task, padding, sentinels in colour."""
    headings = re.findall(r"<h2[^>]*>([^<]*)</h2>", page)
    assert headings == ["Shares", "Examples", "Lengths", "Padding", "Sentinels and unknown tokens"]
    assert page.count("<svg") == 6
    assert re.search(r"<td>short</td><td>.*width:37.50%", page)
    colors = re.findall(r'<b class="(s\d)">&lt;extra_id_(\d)&gt;</b>', page)
    assert colors == [("s0", "0"), ("s1", "1"), ("s0", "0"), ("s1", "1")]


def test_a_task_leads_with_its_numbers(short):
    facts = dict(re.findall(r"<dt>([^<]*)</dt><dd>([^<]*)</dd>", html_page(short)))
    assert facts["inputs cut at 8"] == "30.0 %"
    assert facts["examples in a packed row"] == f"{10 / short.fill.rows:.2f}"
