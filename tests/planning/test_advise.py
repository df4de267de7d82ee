"""The search of `plan --advise`, its gin file, and what it says where nothing fits."""

import dataclasses

import pytest

from t5x_lite import cli, config
from t5x_lite.errors import UserError
from t5x_lite.model.choices import Remat
from t5x_lite.planning import advice, advise
from t5x_lite.planning import search as search_module
from t5x_lite.planning.advise import Advice
from t5x_lite.planning.choices import Between, Choice, remats
from t5x_lite.planning.estimate import STATE
from t5x_lite.planning.plan import Plan
from t5x_lite.planning.search import search
from t5x_lite.planning.topologies import find
from t5x_lite.training.config import TrainConfig

CPUS = find("cpu:8")


@pytest.fixture(scope="module")
def job(make_job):
    return make_job()


@pytest.fixture(scope="module", autouse=True)
def few_remats():
    """Each has to be traced."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_module, "remats", lambda model: [Remat.NONE, Remat.FULL])
        yield


@pytest.fixture(scope="module")
def traces():
    return {}


@pytest.fixture(scope="module")
def candidates(job, traces):
    return search(job, CPUS, traces=traces)


class Planned(Plan):
    """A plan of which only that is known."""

    def __init__(self, fits, step_seconds):
        vars(self).update(said=(fits, step_seconds))

    fits = property(lambda self: self.said[0])
    step_seconds = property(lambda self: self.said[1])


def _with_memory(topology, size):
    return dataclasses.replace(topology, chip=dataclasses.replace(topology.chip, hbm_bytes=size))


def test_the_winner_fits_and_nothing_that_fits_is_faster(job, candidates, traces):
    peaks = sorted(each.estimate.peak for each in candidates)
    few = search(job, _with_memory(CPUS, int(1.2 * peaks[0])), traces=traces)
    winner = Advice(few, []).winner
    assert winner.fits and winner.estimate.peak <= peaks[0] * 1.2
    assert any(not each.fits for each in few)
    assert all(
        each.estimate.step_seconds >= winner.estimate.step_seconds for each in few if each.fits
    )


def test_candidates_are_different_and_divide_the_job(job, candidates):
    choices = [each.choice for each in candidates]
    assert len(set(choices)) == len(choices) > 20
    assert {each.num_partitions for each in choices} == {1, 2, 4}  # of 8 devices, by 4 heads
    assert {*remats(job.model)} > {*Remat}


@pytest.mark.parametrize("between", Between)
@pytest.mark.parametrize("fully_sharded", [True, False])
@pytest.mark.parametrize("slices", [1, 2])
def test_the_gin_file_makes_the_job_that_was_estimated(
    job, words, tmp_path, between, fully_sharded, slices
):
    remat = ("out", "query") if fully_sharded else Remat.MINIMAL
    choice = Choice(2, between, fully_sharded, remat, 4, slices)
    (tmp_path / "advice.gin").write_text(choice.as_gin())
    files = [word.partition("=")[2] for word in words if word.startswith("--gin_file")]
    # What was read before is as if it had not been.
    files += [
        "meshes/two_dimensional.gin",
        "meshes/fully_sharded.gin",
        str(tmp_path / "advice.gin"),
    ]
    given = [("", word[len("--gin.") :]) for word in words if word.startswith("--gin.")]
    found = config.resolve(TrainConfig, files, overrides=given).config
    wanted = choice.applied(job)
    assert found.partitioning == wanted.partitioning
    assert found.model.compute == wanted.model.compute
    assert found.num_microbatches == 4


def test_the_command_writes_what_it_finds(words, tmp_path, capsys):
    file = tmp_path / "advice.gin"
    flags = ["--advise", "--compile=0", f"--write={file}", "--topology=cpu:8"]
    assert cli.main(["plan", *words, *flags]) == 0
    printed = capsys.readouterr().out
    assert "wins" in printed and "slower" in printed
    assert cli.main(["plan", *words, f"--gin_file={file}", "--topology=cpu:8"]) == 0


def test_of_what_was_compiled_the_fastest_that_fits_wins(candidates):
    first, second, third = candidates[:3]
    plans = [
        (first, Planned(False, None)),
        (second, Planned(True, 3.0)),
        (third, Planned(True, 2.0)),
    ]
    assert Advice(candidates, plans).winner is third
    assert Advice(candidates, plans[:1]).winner is None


def test_where_nothing_fits_it_says_what_would(job, candidates, traces):
    state = min(each.estimate.parts[STATE] for each in candidates)
    small = _with_memory(CPUS, state)
    found = search(job, small, traces=traces)
    assert Advice(found, []).winner is None
    fixes = ["--topology=cpu:16"]
    text = advice.nothing_fits(found[0], small, fixes)
    assert "What would fit: --topology=cpu:16." in text
    assert max(found[0].estimate.parts, key=found[0].estimate.parts.get) in text


def test_changes_are_the_first_that_fit(job, monkeypatch):
    def fits(function, job, topology):
        return job.dataset.batch_size <= 4 or topology.num_chips >= 32

    monkeypatch.setattr(advise.isolated, "call", fits)
    assert advise.changes(job, CPUS) == ["--gin.BATCH_SIZE=4", "--topology=cpu:32"]


def test_a_batch_that_no_mesh_divides_is_refused(make_job):
    with pytest.raises(UserError, match="BATCH_SIZE=8"):
        search(make_job(BATCH_SIZE=1), CPUS)


@pytest.mark.parametrize(
    "flags",
    [["--write=x.gin"], ["--advise", "--program=eval"], ["--advise", "--compile=0", "--json=x"]],
)
def test_flags_that_mean_nothing_together_are_refused(words, flags, capsys):
    assert cli.main(["plan", *words, "--topology=cpu:8", *flags]) == 2
    assert "--" in capsys.readouterr().err
