"""Records become tables, pictures and sections; a new result replaces the old one alone."""

import pytest

from benchmarks.experiments import catalogue, charts, report, results, tables
from benchmarks.experiments.experiment import Chart, Comparison, Experiment, Record

RECORDS = [
    Record("plain", 0, {"bleu": 1.0}, ((1, 2.0), (3, 0.5))),
    Record("plain", 1, {"bleu": 2.0}),
    Record("better", 1, {"bleu": 4.5}),
    Record("better", 0, {"bleu": 3.0, "loss": 1.0}),
    Record("copied", None, {"bleu": 0.5}),
]


def experiment(**changes):
    settings = {
        "key": "M-0",
        "title": "A trial",
        "claim": "better is better",
        "setup": "Nothing was set up.",
        "measure": lambda lab, seeds: iter(RECORDS),
        "chart": Chart("bleu", "BLEU"),
        "metrics": {"bleu": "BLEU", "loss": "loss"},
        "comparisons": (Comparison("plain", "better", "bleu"), Comparison("plain", "x", "bleu")),
        "notes": lambda records: [f"There are {len(records)} records."],
    }
    return Experiment(**{**settings, **changes})


FOUND = results.Results(
    results.circumstances(experiment(), "trial", {"seconds": 125, "cpu_seconds": 90}), RECORDS
)


def test_a_table_has_a_row_for_each_arm_and_a_dash_for_what_was_not_measured():
    assert tables.arms_table(experiment(), RECORDS) == [
        "| arm | seeds | BLEU | loss |",
        "| --- | --- | --- | --- |",
        "| plain | 2 | 1.50 \N{PLUS-MINUS SIGN} 0.71 | - |",
        "| better | 2 | 3.75 \N{PLUS-MINUS SIGN} 1.06 | 1.00 |",
        "| copied | - | 0.50 | - |",
    ]


def test_differences_are_paired_by_seed_and_of_measured_arms_only():
    lines = tables.differences_table(experiment(), RECORDS)
    # 3.0 - 1.0 and 4.5 - 2.0, whatever the order of the records.
    assert len(lines) == 4
    assert "| better minus plain | BLEU | +2.25 [" in lines[-1]
    assert tables.differences_table(experiment(comparisons=()), RECORDS) == []


@pytest.mark.parametrize(
    "chart",
    [
        Chart("bleu", "BLEU"),
        Chart("bleu", "BLEU", x={"plain": 8, "better": 64}, x_label="d"),
        Chart("bleu", "BLEU", x="step"),
    ],
    ids=["bars", "over a number", "curves"],
)
def test_a_chart_is_a_png(chart):
    records = [*RECORDS, Record("curved", 0, {"bleu": 2.0}, ((1, 1.0), (2, 2.0)))]
    assert charts.png("A trial", chart, records).startswith(b"\x89PNG")


def test_a_result_replaces_its_own_section(tmp_path):
    places = "".join(f"<!-- experiment {k} -->\nold\n<!-- end of {k} -->\n" for k in ("M-0", "M-1"))
    page = tmp_path / "RESULTS.md"
    page.write_text(f"# Results\n{places}the end\n")
    report.publish(experiment(), FOUND, tmp_path)
    once = page.read_text()
    assert once.count("\nold\n") == 1 and once.startswith("# Results\n")
    assert once.endswith("old\n<!-- end of M-1 -->\nthe end\n")
    for part in (
        "### M-0 A trial",
        "There are 5 records.",
        "(experiments/M-0.png)",
        "1.5 minutes of CPU",
    ):
        assert part in " ".join(once.split())
    report.publish(experiment(), FOUND, tmp_path)
    assert page.read_text() == once
    assert list(results.read(tmp_path / "experiments/M-0.jsonl").records) == RECORDS
    assert (tmp_path / "experiments/M-0.png").read_bytes().startswith(b"\x89PNG")


def test_a_page_without_a_place_says_which_lines_are_needed():
    with pytest.raises(ValueError, match="no place for M-7.*<!-- experiment M-7 -->"):
        report.replaced("# Results", "M-7", "text")


def test_what_a_lab_was_given_is_part_of_the_set_up():
    """So that results of other data are not taken for those of today's."""
    told = experiment(setup_of=lambda lab: f"The data is {lab}.").of("mine")
    assert told.setup == "Nothing was set up. The data is mine."
    assert experiment().of("mine").setup == experiment().setup


def test_results_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "M-0.jsonl"
    results.write(path, FOUND)
    again = results.read(path)
    assert list(again.records) == RECORDS
    assert again.circumstances == FOUND.circumstances
    with pytest.raises(FileNotFoundError, match="python -m benchmarks.experiments M-9"):
        results.read(tmp_path / "M-9.jsonl")


def test_experiments_are_chosen_by_name():
    keys = [each.key for each in catalogue.chosen(["M-3", "M-1", "M-3"])]
    assert keys == ["M-1", "M-3"]
    assert {each.key for each in catalogue.chosen(["M"])} == {f"M-{i}" for i in range(1, 10)}
    assert len(catalogue.chosen(["all"])) == len(catalogue.EXPERIMENTS)
    with pytest.raises(ValueError, match="no experiment M3.*M-3"):
        catalogue.chosen(["M3"])
