"""benchmarks/pods: its jobs are those they say, and what was compiled is not compiled again."""

import dataclasses

import pytest

from benchmarks.pods import __main__ as command
from benchmarks.pods import estimates, page, results, tables
from benchmarks.pods.grid import GRID, Reference, Row
from benchmarks.pods.programs import Program
from benchmarks.pods.scaling import LENGTHS, ONE_CHIP, SCALING, SIZES, STRONG, WEAK
from t5x_lite.errors import UserError
from t5x_lite.model.choices import Remat
from t5x_lite.planning import plan, topologies
from t5x_lite.planning.measure import measure
from t5x_lite.planning.programs import Kind

SMALL = {
    "NUM_ENCODER_LAYERS": "1",
    "NUM_DECODER_LAYERS": "1",
    "VOCAB_SIZE": "64",
    "EMBED_DIM": "32",
    "MLP_DIM": "64",
    "TASK_FEATURE_LENGTHS": "{'inputs': 16, 'targets': 8}",
}
PROGRAM = Program(
    model="tiny",
    topology="cpu:8",
    num_partitions=2,
    num_microbatches=2,
    batch_size=16,
    values=SMALL,
)
ROW = Row(PROGRAM, Reference(1.5, 2, 3, 4, 5))


@pytest.fixture(scope="module")
def small_plan():
    """The plan of `PROGRAM`, made in this process, whose devices are simulated already."""
    job = PROGRAM.job
    return plan.make_plan(job, measure(job, topologies.find("cpu:8"), Kind.TRAIN), price=1.0)


@pytest.fixture
def compilations(small_plan, monkeypatch):
    """The programs that were asked for; each gets `small_plan`."""
    asked = []

    def compiled(program):
        asked.append(program)
        return small_plan

    monkeypatch.setattr(command, "compiled", compiled)
    monkeypatch.setattr(command, "PROGRAMS", {"small": PROGRAM})
    monkeypatch.setattr(tables, "GRID", {"small": ROW})
    return asked


@pytest.mark.parametrize("name", GRID)
def test_every_row_is_a_job_for_its_slices(name):
    program = GRID[name].program
    job, machine = program.job, program.machine
    rows, columns = map(int, program.mesh.split(" x "))
    assert machine.num_chips == rows * columns * program.slices
    assert job.partitioning.axes[-1] == ("model", columns)
    assert job.dataset.batch_size % (rows * program.slices * job.num_microbatches) == 0
    assert job.model.dropout_rate == 0.0
    assert name.startswith(program.mesh.replace(" ", "")) or program.slices > 1
    remat = program.remat if isinstance(job.model.compute.remat, Remat) else "kept"
    assert f"{remat}_{job.num_microbatches}" in name


def test_what_was_compiled_is_found_again_by_its_program_and_versions(
    compilations, tmp_path, monkeypatch, capsys
):
    words = ["--rows=small", f"--output={tmp_path}"]
    assert command.main(words) == command.main(words) == 0
    assert compilations == [PROGRAM]
    printed = capsys.readouterr().out
    assert printed.count("\n| 4 x 2, full, 2 |") == 2
    assert printed.count("\n| T5X, the same | 1.5 | 2 | 3 + 4 + 5 | - | - | - |\n") == 2
    monkeypatch.setattr(results.importlib.metadata, "version", lambda name: "99")
    command.main(words)
    assert compilations == [PROGRAM] * 2


def test_one_thing_differs_at_a_time():
    for chips in WEAK:
        assert WEAK[chips].machine.num_chips == STRONG[chips].machine.num_chips == chips
        assert WEAK[chips].batch_size == 16 * chips
    assert len({program.batch_size for program in STRONG.values()}) == 1
    tokens = {length * program.batch_size for length, program in LENGTHS.items()}
    assert len(tokens) == 1
    assert ONE_CHIP.machine.num_chips == 1
    for model, chip in SIZES:
        same = SIZES[model, "v5e"]
        assert SIZES[model, chip].machine.num_chips == same.machine.num_chips
        assert SIZES[model, chip].batch_size == same.batch_size
    for program in SCALING.values():
        job = program.job
        assert job.dataset.batch_size % (program.machine.num_chips * job.num_microbatches) == 0


def test_names_of_programs_that_are_none_are_told(capsys):
    with pytest.raises(SystemExit):
        command.main(["--rows=256x1"])
    assert "'256x1' is no program; there are 256x1_kept_1" in capsys.readouterr().err


def test_numbers_are_those_of_the_plan(small_plan, tmp_path):
    found = results.Results(tmp_path).add(PROGRAM, small_plan)
    cost = small_plan.compiled.cost
    assert found == results.Results(tmp_path).find(PROGRAM)
    assert found["compiled_flops"] == cost.flops
    assert found["counted_bytes"] == cost.counted_bytes
    assert found["network_bytes"] == 0
    assert found["collectives"]


def test_bytes_of_reduce_scatters_stand_with_those_of_all_reduces():
    counted = {"all-gather": 3e9, "all-reduce": 1e9, "reduce-scatter": 4e9}
    assert tables._by_kind(counted) == "3 + 5 + 0"


def test_a_page_gets_the_tables_and_the_picture(small_plan, tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "GRID", {"small": ROW})
    found = results.Results(tmp_path)
    found.add(PROGRAM, small_plan)
    found.add(WEAK[16], small_plan)
    with pytest.raises(UserError, match="no place for grid: needed are the lines"):
        page.replaced("nothing", "grid", [])
    names = [*tables.all_tables(found, {}), "curves"]
    places = "".join(f"<!-- table {name} -->old<!-- end of {name} -->\n" for name in names)
    (tmp_path / "pods.md").write_text(f"before\n{places}after\n")
    for _ in range(2):
        page.publish(found, {}, tmp_path)
        text = (tmp_path / "pods.md").read_text()
        assert text.startswith("before\n<!-- table grid -->\n\n| data x model")
        assert text.endswith("<!-- table curves -->old<!-- end of curves -->\nafter\n")
        assert "Nothing of it is compiled yet.\n\n<!-- end of strong -->" in text
        assert text.count("\n| 4 x 2, full, 2 |") == text.count("\n| 16 | 256 |") == 1
    for program in (WEAK[64], STRONG[256]):
        found.add(program, small_plan)
    page.publish(found, {}, tmp_path)
    assert "\n\n![steps by chips](pods/scaling.png)\n\n" in (tmp_path / "pods.md").read_text()
    assert (tmp_path / "pods/scaling.png").read_bytes().startswith(b"\x89PNG")


def test_estimates_stand_beside_what_was_compiled(small_plan, tmp_path, capsys):
    """On simulated devices; a program that was not compiled has none."""
    found = results.Results(tmp_path)
    found.add(PROGRAM, small_plan)
    other = dataclasses.replace(PROGRAM, batch_size=32)
    estimates.add(tmp_path, {"small": PROGRAM, "other": other}, found)
    (pair,) = estimates.read(tmp_path).values()
    assert capsys.readouterr().out.startswith("small: estimated 0.00 GB")
    assert pair.peak == found.find(PROGRAM)["hbm_peak_bytes"] and pair.estimated_peak > 0
    written = (tmp_path / "estimates.jsonl").read_text()
    with pytest.raises(UserError, match="nothing to estimate: --grid and --scaling compile them"):
        estimates.add(tmp_path, {"other": other}, found)
    assert (tmp_path / "estimates.jsonl").read_text() == written
    line, _, told = tables.estimates_table({"a_b": estimates.Pair(2.2e9, 2e9, 1.5, 2.0)})[2:]
    assert line == "| a b | 2.20 | 2.00 | +10.0% | 1.500 | 2.000 |"
    assert told == (
        "Of 1 programs the peak is off by 10.0% in the middle and 10.0% at most, the time of a "
        "step by 25% and 25%."
    )
