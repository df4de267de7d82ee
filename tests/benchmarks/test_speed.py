"""benchmarks/speed: arms take turns on the same model, and what is written is what was measured."""

import dataclasses
import itertools
import json
import pathlib
import types

import numpy as np
import pytest

from benchmarks.speed import __main__ as command
from benchmarks.speed import checks, limits, models, pictures, rounds, table, tables, worker
from benchmarks.speed.arm import SECONDS
from benchmarks.speed.arms import checkpoint, evaluate, ours, startup
from benchmarks.speed.arms import input as input_arms
from benchmarks.speed.results import Results
from benchmarks.speed.settings import Settings
from benchmarks.speed.table import COMMANDS, Arm
from t5x_lite.checkpoints import huggingface
from t5x_lite.errors import UserError

# Rows for each of the simulated devices.
SHAPE = {"size": "tiny", "batch": 8, "inputs": 8, "targets": 4, "repeats": 3}
MACHINE = {"peak_gflops": 100.0, "read_gb_per_second": 10.0}


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    """A tiny model that is written."""
    settings = Settings(**SHAPE, folder=str(tmp_path_factory.mktemp("speed")))
    models.write(settings)
    return settings


@pytest.fixture
def turns(monkeypatch):
    """Arms of numbers that are given, and the order in which they were run."""
    order = []

    class Told:
        """An arm of this process, whose third repeat is its slowest."""

        def __init__(self, name, arm, settings):
            self.name, self.facts, self.answer = name, {"first_seconds": 9.0}, [1.0]
            if name == "balance":
                self.facts = MACHINE
            self.seconds = iter([2.0, 1.0, 4.0] if name == "ours" else [3.0, 3.0, 5.0])

        def run(self):
            order.append(self.name)
            return {SECONDS: next(self.seconds), "peak_memory_bytes": 2e9}

        def close(self):
            order.append(f"{self.name} ends")

    monkeypatch.setattr(rounds, "Worker", Told)
    monkeypatch.setattr(table.importlib.util, "find_spec", lambda package: True)
    return order


def run(words, folder):
    return command.main([*words, f"--output={folder}", f"--folder={folder}", "--size=tiny"])


def test_arms_take_turns_and_medians_are_written(turns, tmp_path):
    file = tmp_path / "train.json"
    words = ["train", "--arms=ours,torch_eager", "--repeats=3", f"--json={file}"]
    assert run(words, tmp_path) == 0
    assert json.loads(file.read_text()) == {
        "ours": {"median": 2.0, "all": [2.0, 1.0, 4.0]},
        "torch_eager": {"median": 3.0, "all": [3.0, 3.0, 5.0]},
    }
    ended = ["torch_eager ends", "ours ends"]
    assert turns == ["balance ends", "model ends", *["ours", "torch_eager"] * 3, *ended]


def test_the_newest_run_of_a_shape_is_published(turns, tmp_path):
    names = [*COMMANDS, "machine", "imports", "operations", "medians"]
    places = "".join(f"<!-- table {name} -->old<!-- end of {name} -->\n" for name in names)
    (tmp_path / "speed.md").write_text(places)
    for batch in (1, 2, 1):
        assert run(["train", f"--batch={batch}", "--repeats=3"], tmp_path) == 0
    assert run([f"--publish={tmp_path}"], tmp_path) == 0
    text = (tmp_path / "speed.md").read_text()
    assert text.count("| tiny, 1 x 256 + 64 | ours | 2 (1 to 4) | - |") == 1
    assert text.count("| tiny, 2 x 256 + 64 | torch_sdpa | 3 (3 to 5) | 1.5 (1.25 to 3) |") == 1
    assert text.count("Nothing of it is measured yet.") == len(COMMANDS) + 1
    assert "\n![medians of all arms](speed/medians.png)\n" in text
    assert (tmp_path / "speed/medians.png").read_bytes().startswith(b"\x89PNG")
    assert "folder" not in (tmp_path / "measured.jsonl").read_text()


def test_families_stand_in_one_table(turns, tmp_path):
    words = [f"--output={tmp_path}", f"--folder={tmp_path}", "--repeats=3"]
    for size in ("tiny", "gpt2/tiny"):
        assert command.main(["score", f"--size={size}", *words]) == 0
    lines = "\n".join(tables.command_table(Results(tmp_path).of("score")))
    assert "| tiny, 4 x 256 + 64 | ours |" in lines and "| gpt2/tiny, 4 x 256 + 64 | ours" in lines
    assert pictures.medians(Results(tmp_path)).startswith(b"\x89PNG")


def test_what_cannot_be_run_is_told(tmp_path, monkeypatch, capsys):
    def said(*words):
        assert run(words, tmp_path) == 2
        return capsys.readouterr().err

    assert "train has no such arm; there are ours,torch_eager," in said("train", "--arms=ours,ct2")
    assert "given are 2" in said("train", "beam", "--json=x.json")
    monkeypatch.setattr(table.importlib.util, "find_spec", lambda package: None)
    assert "needs ctranslate2, which is not installed" in said("greedy", "--arms=ct2")
    with pytest.raises(SystemExit):
        run(["trian"], tmp_path)
    assert "'trian' is none; there are train, greedy" in capsys.readouterr().err


def test_no_text_of_the_model_ends(settings):
    """Greedy decoding and beams write all targets, ordinary pieces only."""
    for make in (ours.decode, ours.beam):
        rows = make(settings).answer
        assert {len(row) for row in rows} == {settings.targets}
        assert np.min(rows) > 2 and np.max(rows) < 32_000


def test_a_step_is_that_of_the_pre_training_recipe(settings):
    """The first loss of random logits is about that of a uniform choice, and steps go on."""
    prepared = ours.train(settings)
    assert prepared.answer == pytest.approx(np.log(32_128), abs=1.0)
    assert prepared.run()[SECONDS] < prepared.facts["first_seconds"]
    operations = prepared.facts["operations"]
    assert {"forward: Linear", "backward: Linear", "backward: Attention"} < set(operations)
    assert list(operations.values()) == sorted(operations.values(), reverse=True)
    job = ours.train_job(settings)
    assert job.health.policy.value == "stop" and job.model.dropout_rate == 0.0


def test_scores_and_vectors_are_those_of_each_row(settings):
    scores, means = ours.score(settings).answer, ours.encode(settings).answer
    assert len(scores) == len(means) == settings.batch
    assert all(score < -settings.targets for score in scores)
    assert np.std(means, axis=0).min() > 0


def test_a_process_answers_and_its_end_is_told(settings):
    """The model that is there is not written anew."""
    written = (settings.directory / "model.safetensors").stat().st_mtime_ns
    one = worker.Worker("model", Arm("benchmarks.speed.models:write"), settings)
    assert one.run()[SECONDS] == 0.0
    one.close()
    config, parameters = huggingface.load(settings.directory)
    assert one.facts == {"parameters": sum(np.size(leaf) for leaf in _leaves(parameters))}
    assert config.embed_dim == 32
    assert (settings.directory / "model.safetensors").stat().st_mtime_ns == written
    with pytest.raises(
        RuntimeError, match="broken ended with status 1: see .*broken-arm_nothing.log"
    ):
        worker.Worker("broken", Arm("benchmarks.speed.arm:nothing"), settings)
    with pytest.raises(UserError, match="models/t5_1_1/huge.gin"):
        huge = Settings(size="huge", folder=settings.folder)
        worker.Worker("model", Arm("benchmarks.speed.models:write"), huge)


def _leaves(tree):
    return [
        leaf
        for each in tree.values()
        for leaf in (_leaves(each) if isinstance(each, dict) else [each])
    ]


def test_what_is_saved_is_restored(settings):
    """Sizes are those of the shards that the devices hold; a checkpoint that is there is taken."""
    prepared = checkpoint.save(settings)
    numbers = prepared.run()
    assert numbers[SECONDS] >= numbers["blocked_seconds"] > 0
    before = sorted(checkpoint._folder(settings).iterdir())
    checkpoint.once(settings)
    assert sorted(checkpoint._folder(settings).iterdir()) == before
    facts = checkpoint.restore(settings).facts
    size = facts["mb_per_second"] * facts[SECONDS] * 1e6
    assert size == pytest.approx(prepared.facts["state_bytes"])
    assert size > 4 * 2_000_000
    for make in (checkpoint.write_file, checkpoint.read_file):
        assert make(settings).run()["mb_per_second"] > 0


def test_a_process_is_timed_until_it_says_that_its_step_is_done():
    code = "import time; print('ready after'); time.sleep(.2); print('train 1/1 '); time.sleep(60)"
    numbers = startup._first_step(["-u", "-c", code], {})
    assert 0.1 <= numbers["step_seconds"] < numbers[SECONDS] < 60
    with pytest.raises(RuntimeError, match="ended without a step"):
        startup._first_step(["-c", "print('ready')"], {})


def test_an_evaluation_writes_an_answer_for_each_example(settings):
    few = dataclasses.replace(settings, examples=3)
    assert len(evaluate.ours(few).answer) == 3


def test_tokens_that_are_padding_are_not_counted(settings, monkeypatch):
    """Six of a batch, two batches in four ticks; the pipelines need data that is named."""
    ticks = itertools.count()
    clock = types.SimpleNamespace(monotonic=lambda: next(ticks), process_time=lambda: 0)
    monkeypatch.setattr(input_arms, "time", clock)
    monkeypatch.setattr(input_arms, "_SECONDS", 2.5)
    batch = {"encoder_input_tokens": np.array([5, 6, 0]), "decoder_target_tokens": np.arange(5)}
    assert input_arms._numbers(lambda: itertools.repeat(batch))[SECONDS] == 4 / 12 * 1e6
    with pytest.raises(UserError, match="--vocabulary is not given; input needs --tfds_data_dir"):
        input_arms.ours(settings)


def test_a_command_has_defaults_of_its_own(turns, tmp_path):
    """What is given goes before them."""
    assert run(["input", "--targets=20", "--repeats=2"], tmp_path) == 0
    (line,) = (tmp_path / "measured.jsonl").read_text().splitlines()
    known = json.loads(line)["settings"]
    assert (known["batch"], known["inputs"], known["targets"]) == (128, 512, 20)
    assert str(tmp_path) not in line


def test_every_command_has_its_place_in_the_docs():
    text = (pathlib.Path(__file__).parents[2] / "docs/speed.md").read_text()
    for name in (*COMMANDS, "machine", "imports", "medians"):
        assert f"<!-- table {name} -->" in text and f"<!-- end of {name} -->" in text


def test_arms_that_differ_are_not_measured():
    rows = [[3] * 4] * 10
    one_differs = [[5] * 4, *rows[1:]]
    checks.check("greedy", {"ours": rows, "ct2": one_differs, "ct2_int8": [[7] * 4] * 10}, length=4)
    with pytest.raises(checks.Disagreement, match="ours and ct2 differ: 8 of 10 rows"):
        checks.check("greedy", {"ours": rows, "ct2": [*one_differs[:1] * 2, *rows[2:]]}, length=4)
    with pytest.raises(checks.Disagreement, match=r"ct2_int8 wrote \{3\} tokens, needed are 4"):
        checks.check("beam", {"ours": rows, "ct2_int8": [[7] * 3] * 10}, length=4)
    checks.check("train", {"ours": 10.0, "torch_eager": 10.009}, length=4)
    for loss in (10.02, float("nan")):
        with pytest.raises(checks.Disagreement, match="ours and torch_eager differ: by"):
            checks.check("train", {"ours": 10.0, "torch_eager": loss}, length=4)


def test_limits_are_products_or_bytes():
    """Of T5 v1.1 small, 4 rows of 256 and 64: 207 GFLOP a step; a token's weights, keys, values."""
    small = Settings()
    assert limits.seconds("train", small, MACHINE, 4) == pytest.approx(2.07, rel=0.01)
    exact, int8 = (limits.seconds("greedy", small, MACHINE, size) for size in (4, 1))
    assert exact - int8 == pytest.approx(64 * 3 * 38.47e6 / 10e9, rel=0.01)
    slow = MACHINE | {"peak_gflops": 1.0}
    beam, greedy = (limits.seconds(name, small, slow, 4) for name in ("beam", "greedy"))
    assert beam - greedy == pytest.approx(64 * 2 * (16 - 4) * 38.47e6 / 1e9, rel=0.01)
    assert limits.seconds("encode", small, MACHINE, 4) < exact
