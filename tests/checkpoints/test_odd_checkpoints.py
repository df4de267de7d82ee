"""Checkpoints of ours that say what no save writes: one sentence, also about those of tomorrow."""

import json

import jax.numpy as jnp
import pytest

from t5x_lite import cli
from t5x_lite.checkpoints import description, folders, manager, manifest, pretrained
from t5x_lite.checkpoints.config import SaveCheckpointConfig
from t5x_lite.errors import UserError
from t5x_lite.testing import tiny_model

MODEL = tiny_model(vocab_size=64)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A checkpoint whose state is nearly nothing."""
    directory = tmp_path_factory.mktemp("run")
    checkpoints = manager.Checkpoints(directory, SaveCheckpointConfig())
    said = description.describe_run("X = 3\n", MODEL)
    checkpoints.save(4, {"step": jnp.int32(4), "parameters": {"a": jnp.ones(2)}}, said)
    checkpoints.close()
    return directory / "checkpoint_4"


@pytest.fixture
def checkpoint(written, tmp_path):
    """A copy."""
    copy = folders.absolute(tmp_path / written.name)
    for path in manifest.files_below(folders.absolute(written)):
        target = copy / path.relative_to(written)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return copy


def say(checkpoint, content):
    """Puts a description into a checkpoint, and its sum into the manifest."""
    file = checkpoint / "config" / "metadata"
    file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    rewrite(checkpoint, lambda facts: facts["files"].update({"config/metadata": sum_of(file)}))


def sum_of(file):
    return [file.stat().length, manifest._sum(file)]


def rewrite(checkpoint, change):
    """Changes a manifest, which then is whole in itself."""
    file = checkpoint / folders.MANIFEST
    content = json.loads(file.read_text())
    content.pop("sum")
    change(content)
    file.write_text(json.dumps(content | {"sum": manifest._sum_of_content(content)}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"junk", "metadata is not JSON"),
        (b"\x00\xff", "no UTF-8"),
        (b"[" * 10**5, "nested too deeply"),
        ([], "needed is a JSON object"),
        ({}, "lacks the field 'operative_config'"),
        ({"operative_config": 3}, "operative_config is 3; needed"),
        ({"operative_config": "", "initial_step": -1}, "initial_step=-1: needed is at least 0"),
        ({"operative_config": "", "teacher": 1}, "'teacher': was it written by a newer t5x_lite"),
        ({"operative_config": "", "model": {"vocab": 3}}, "unknown field 'vocab'.*a newer"),
        ({"operative_config": "", "model": []}, "model is .*; needed is"),
        ({"operative_config": ""}, "does not say which model it holds"),
    ],
)
def test_a_description_that_cannot_be_understood_is_a_sentence(content, message, checkpoint):
    """A newer version's has fields that this one does not know."""
    say(checkpoint, content)
    with pytest.raises(UserError, match=message):
        pretrained.describe(checkpoint)


def test_the_field_of_a_model_that_is_wrong_is_named(checkpoint):
    """With its place in the model, and what the config itself says of it."""
    content = json.loads((checkpoint / "config" / "metadata").read_text())
    content["model"]["decoder"]["num_layers"] = 10**9
    say(checkpoint, content)
    with pytest.raises(UserError, match=r"the model of .*decoder: num_layers=1000000000: needed"):
        pretrained.describe(checkpoint)


CHANGES = {
    "no files": (lambda facts: facts.update(files={}), "names no files"),
    "a list": (lambda facts: facts.update(files=["a"]), "names no files"),
    "another step": (lambda facts: facts.update(step=5), "is of step 5"),
    "negative": (lambda facts: facts["files"].update(a=[-1, 2]), r"has \[-1, 2\] for a"),
    "no size": (lambda facts: facts["files"].update(a=None), "has None for a"),
    "outside": (lambda facts: facts["files"].update({"../a": [1, 2]}), "names ../a, which is not"),
    "absolute": (lambda facts: facts["files"].update({"/etc/a": [1, 2]}), "names /etc/a, which"),
    "no date": (lambda facts: facts.update(saved_at=1e300), r"has saved_at=1e\+300"),
    "all bytes": (lambda facts: facts.update(num_bytes="many"), "has num_bytes=many"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_manifest_that_no_save_writes_is_damage(name, checkpoint, capsys):
    """Its own sum is right, so somebody wrote it."""
    change, message = CHANGES[name]
    rewrite(checkpoint, change)
    with pytest.raises(UserError, match=f"is damaged: manifest.json {message}"):
        pretrained.describe(checkpoint)
    assert cli.main(["inspect", str(checkpoint)]) == 2


@pytest.mark.parametrize("content", [b"x", b"[" * 10**5, b"[]", b'{"tree_metadata": 3}'])
def test_a_state_that_orbax_cannot_read_is_a_sentence(checkpoint, capsys, content):
    file = checkpoint / "state" / "_METADATA"
    file.write_bytes(content)
    rewrite(checkpoint, lambda facts: facts["files"].update({"state/_METADATA": sum_of(file)}))
    assert cli.main(["inspect", str(checkpoint)]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_scores_that_are_none_are_a_sentence(checkpoint, capsys):
    (checkpoint.parent / "evaluation_scores.jsonl").write_text("{}}\n")
    assert cli.main(["inspect", str(checkpoint)]) == 2
    assert "evaluation_scores.jsonl, line 1, is not JSON" in capsys.readouterr().err


def test_one_that_is_fine_is_inspected(checkpoint, capsys):
    assert cli.main(["inspect", str(checkpoint)]) == 0
