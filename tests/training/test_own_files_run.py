"""A run on files of one's own that is stopped goes on with the rows it would have read."""

import json

import pytest

from t5x_lite import cli, json_lines


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a corpus of two files, and its vocabulary."""
    folder = tmp_path_factory.mktemp("own")
    for part in range(2):
        rows = [{"text": f"{n} green bottles hanging on wall {n % 7}"} for n in range(part, 600, 2)]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{part}.jsonl").write_text(lines)
    words = [f"--file={folder}/*.jsonl", "--field=text", "--size=60", f"--output={folder}/v.model"]
    assert cli.main(["vocab", *words]) == 0
    return folder


def losses(place, name, *steps):
    """Of every step of a run that is started so often, and each time ends at one of `steps`."""
    for last in steps:
        words = [
            "--gin_file=models/t5_1_1/tiny.gin",
            "--gin_file=recipes/pretrain.gin",
            f"--data={place}/*.jsonl",
            "--held_out=0.1",
            "--gin.TASK_FEATURE_LENGTHS={'inputs': 32, 'targets': 10}",
            f"--gin.VOCABULARY={place}/v.model",
            "--gin.VOCAB_SIZE=256",
            "--gin.BATCH_SIZE=8",
            "--gin.NUM_DATA_SHARDS=2",
            "--gin.EVAL_PERIOD=4",
            "--gin.EVAL_STEPS=1",
            "--gin.LOG_PERIOD=1",
            f"--gin.TRAIN_STEPS={last}",
            f"--gin.MODEL_DIR={place}/{name}",
        ]
        assert cli.main(["train", *words]) == 0
    lines = json_lines.read_lines(place / name / "train" / "metrics.jsonl")
    return {line["step"]: line["loss_per_token"] for line in lines}


@pytest.mark.slow
def test_a_run_that_was_stopped_reads_the_same_rows(place):
    """To the last bit of every loss."""
    whole = losses(place, "whole", 8)
    assert losses(place, "stopped", 3, 8) == whole
    assert len(whole) == 8
