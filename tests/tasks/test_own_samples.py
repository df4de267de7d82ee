"""What infer wrote is read back token by token."""

import json

import pytest
import seqio
from etils import epath

from t5x_lite.errors import UserError
from t5x_lite.tasks import own_samples

LINES = [
    {
        "inputs": {"inputs_pretokenized": f"text {number}"},
        "prediction": "?",
        "prediction_tokens": [5, 6, 1] if number % 2 else [7, 8, 9, 4],
    }
    for number in range(20)
]


def write(folder, lines, name="x-predict.jsonl-00000-of-00001"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))


def targets(split, length=8):
    task = seqio.TaskRegistry.get("own_samples")
    dataset = task.get_dataset({"inputs": 8, "targets": length}, split, shuffle=False)
    return [each["targets"].tolist() for each in dataset.as_numpy_iterator()]


def test_ids_are_what_was_written(tmp_path, read_from, vocabulary):
    """No end token is put where the model wrote none; every tenth line is held out; all shards are
    read, of several outputs each.
    """
    write(tmp_path, LINES)
    (tmp_path / "x-predict.jsonl-00000-of-00001.COMPLETED").write_text("{}")
    (tmp_path / "infer_config.gin").write_text("")
    read_from(tmp_path)
    own = [line["prediction_tokens"] for line in LINES]
    held_out = [own[9], own[19]]
    assert targets("validation") == held_out
    assert targets("train") == [ids for n, ids in enumerate(own) if n % 10 != 9]
    assert targets("train", length=3)[0] == [7, 8, 9]


def test_inputs_end_as_the_model_is_asked(tmp_path, read_from, vocabulary):
    """With the end token, or for a GPT-2 without; the outputs are the same."""
    write(tmp_path, LINES[:1])
    read_from(tmp_path)
    rows = {}
    for name in ("own_samples", "own_samples_without_end"):
        task = seqio.TaskRegistry.get(name)
        (row,) = task.get_dataset({"inputs": 8, "targets": 8}, "train").as_numpy_iterator()
        rows[name] = {side: row[side].tolist() for side in ("inputs", "targets")}
        assert task.output_features["inputs"].add_eos == (name == "own_samples")
    with_end, without = rows.values()
    assert with_end == {**without, "inputs": [*without["inputs"], 1]}


def test_several_outputs_of_an_input(tmp_path, read_from, vocabulary):
    """Each is an example."""
    lines = [{**line, "prediction_tokens": [[5, 1], [6, 7]]} for line in LINES[:3]]
    write(tmp_path, lines)
    read_from(tmp_path)
    assert targets("train") == [[5, 1], [6, 7]] * 3


def test_what_is_missing_is_said(tmp_path, read_from, vocabulary):
    """A folder without outputs, outputs without ids."""
    read_from(tmp_path)
    with pytest.raises(FileNotFoundError, match="OUTPUT_IDS=True"):
        targets("train")
    write(tmp_path / "other", [{"inputs": {"inputs_pretokenized": "a"}, "prediction": "b"}])
    read_from(tmp_path / "other")
    with pytest.raises(UserError, match="line 1: needed are inputs.inputs_pretokenized and"):
        own_samples.load((epath.Path(tmp_path / "other"),), "train")
