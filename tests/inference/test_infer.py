"""The infer job on files: lines, modes, shards, and going on after a kill."""

import json
import shutil

import numpy as np
import pytest

import t5x_lite
from t5x_lite import cli
from t5x_lite.errors import UserError
from t5x_lite.inference.hidden_states_config import HiddenStatesConfig

INPUTS = ["one", "two words", "", "drei ☃", "five", "and six", "seven"]


def infer(byt5, folder, *words):
    arguments = [
        "infer",
        "--gin_file=recipes/infer_file.gin",
        f"--gin.CHECKPOINT_PATH={byt5()}",
        f"--gin.INFER_OUTPUT_DIR={folder / 'out'}",
        f"--gin.INPUT_FILE={folder / 'inputs.jsonl'}",
        "--gin.MAX_DECODE_LENGTH=4",
        "--gin.BATCH_SIZE=2",
        "--gin.NUM_PARTITIONS=4",
        "--gin.COMPILATION_CACHE=False",
        *words,
    ]
    status = cli.main([word for word in arguments if word])
    return status


def read(path):
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]


@pytest.fixture
def folder(tmp_path):
    lines = [{"inputs": text, "targets": text[::-1], "id": i} for i, text in enumerate(INPUTS)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "inputs.jsonl").write_text(text)
    (tmp_path / "inputs.txt").write_text("\n".join(INPUTS) + "\n")
    return tmp_path


@pytest.fixture(scope="module")
def model(byt5):
    return t5x_lite.load(byt5(), num_partitions=4, batch_size=2)


def test_each_line_is_answered_once_in_order(byt5, folder, model, capsys):
    """A text file; the name of the output, its marker, and what is printed."""
    assert infer(byt5, folder, f"--gin.INPUT_FILE={folder / 'inputs.txt'}") == 0
    path = folder / "out" / "inputs-predict.jsonl-00000-of-00001"
    lines = read(path)
    assert [line["inputs"] for line in lines] == [{"inputs_pretokenized": t} for t in INPUTS]
    expected = model.generate(INPUTS, max_decode_length=4)
    assert [line["prediction"] for line in lines] == expected
    files = {file.name for file in (folder / "out").iterdir()}
    assert files == {path.name, f"{path.name}.COMPLETED", "infer_config.gin"}
    assert "decoding: greedy, max_decode_length=4" in capsys.readouterr().out
    assert (
        "DecodingConfig.strategy = @GreedyConfig()" in (folder / "out/infer_config.gin").read_text()
    )


def test_n_best_with_scores_and_ids(byt5, folder, model):
    """predict_with_aux of USERS 3.6, lists because there are several; fields of the file stay."""
    words = ["--gin_file=decoding/beam4.gin", "--gin.NUM_DECODES=2", "--gin.OUTPUT_IDS=True"]
    assert infer(byt5, folder, *words, "--gin.MODE=predict_with_aux") == 0
    lines = read(folder / "out" / "inputs-predict_with_aux.jsonl-00000-of-00001")
    assert len(lines) == len(INPUTS)
    for number, line in enumerate(lines):
        assert line["inputs"]["id"] == number
        assert line["inputs"]["targets_pretokenized"] == INPUTS[number][::-1]
        assert line.keys() == {"inputs", "prediction", "prediction_tokens", "aux"}
        assert len(line["prediction"]) == len(line["prediction_tokens"]) == 2
        one, two = line["aux"]["scores"]
        assert one >= two and one == pytest.approx(
            line["aux"]["log_probs"][0] / ((5 + len(line["prediction_tokens"][0])) / 6) ** 0.6,
            rel=1e-5,
        )


def test_targets_are_what_predictions_begin_with(byt5, folder, model, capsys):
    """T5X's prompt_with_targets, for each line its own; where they are too long it is said."""
    words = ["--gin.PROMPT_WITH_TARGETS=True", "--gin.MAX_DECODE_LENGTH=12"]
    assert infer(byt5, folder, *words) == 0
    lines = read(folder / "out" / "inputs-predict.jsonl-00000-of-00001")
    targets = [text[::-1] for text in INPUTS]
    assert all(a["prediction"].startswith(b) for a, b in zip(lines, targets, strict=True))
    expected = model.generate(INPUTS, prefixes=targets, max_decode_length=12)
    assert [line["prediction"] for line in lines] == expected
    assert infer(byt5, folder, *words, "--gin.MAX_DECODE_LENGTH=9") == 2
    assert "input 1 is to begin with 9 tokens" in capsys.readouterr().err


def test_predictions_have_the_length_of_targets(byt5, folder, model, capsys):
    """As in the Python API; what targets cannot tell is said."""
    words = ["--gin.LENGTH_OF_TARGETS=True", "--gin.MAX_DECODE_LENGTH=12", "--gin.OUTPUT_IDS=True"]
    words += ["--gin_file=decoding/beam4.gin", "--gin.BeamConfig.alpha=0.0"]
    assert infer(byt5, folder, *words) == 0
    lines = read(folder / "out" / "inputs-predict.jsonl-00000-of-00001")
    lengths = [len(model.tokenizer.encode(text[::-1])) + 1 for text in INPUTS]
    assert [len(line["prediction_tokens"]) for line in lines] == lengths
    expected = model.generate(
        INPUTS, strategy="beam", beam_size=4, alpha=0.0, lengths=lengths, max_decode_length=12
    )
    assert [line["prediction"] for line in lines] == expected
    assert infer(byt5, folder, *words, "--gin.MAX_DECODE_LENGTH=9") == 2
    assert "length=10 of the output of input 1" in capsys.readouterr().err
    assert infer(byt5, folder, "--gin.LENGTH_OF_TARGETS=True", "--gin.MODE=score") == 2
    assert "or --gin.LENGTH_OF_TARGETS=False" in capsys.readouterr().err


def test_scores_and_embeddings(byt5, folder, model):
    """The other two modes, against the Python API."""
    assert infer(byt5, folder, "--gin.MODE=score") == 0
    lines = read(folder / "out" / "inputs-score.jsonl-00000-of-00001")
    expected = model.score(INPUTS, [text[::-1] for text in INPUTS])
    np.testing.assert_allclose([line["score"] for line in lines], expected, rtol=1e-4)
    assert len(lines[1]["aux"]["token_log_probs"]) == len(INPUTS[1]) + 1
    assert infer(byt5, folder, "--gin.MODE=encode") == 0
    lines = read(folder / "out" / "inputs-encode.jsonl-00000-of-00001")
    vectors = np.array([line["embedding"] for line in lines])
    np.testing.assert_allclose(vectors, model.encode(INPUTS), rtol=1e-3, atol=1e-4)


def test_states_are_optimised_of_a_language_model_that_scores(byt5, folder, model, capsys):
    """This model reads inputs apart; said before it is read, and by the Python API."""
    words = ["--gin_file=evaluation/hidden_states.gin", "--gin.STATE_STEP_SIZE=0.1"]
    assert infer(byt5, folder, *words, "--gin.MODE=score") == 2
    assert "needed is a language model" in capsys.readouterr().err
    assert infer(byt5, folder, *words) == 2
    assert "needed is --gin.MODE=score" in capsys.readouterr().err
    with pytest.raises(UserError, match="needed is a language model"):
        model.score(["a"], ["b"], hidden_states=HiddenStatesConfig(step_size=0.1))


def test_shards_together_are_the_whole(byt5, folder):
    """Every example in exactly one of three; samples are the ones that one job draws."""
    sampling = ("--gin_file=decoding/sample.gin", "--gin.TOP_K=9")
    assert infer(byt5, folder, *sampling) == 0
    whole = read(folder / "out" / "inputs-predict.jsonl-00000-of-00001")
    parts = []
    for shard in range(3):
        assert infer(byt5, folder, *sampling, "--gin.NUM_SHARDS=3", f"--shard_id={shard}") == 0
        parts.append(read(folder / "out" / f"inputs-predict.jsonl-0000{shard}-of-00003"))
    assert sum(map(len, parts)) == len(INPUTS)
    assert [parts[i % 3][i // 3] for i in range(len(INPUTS))] == whole


def test_a_killed_job_goes_on_where_it_stopped(byt5, folder, monkeypatch, capsys):
    """Two batches of two are on disk when it is killed; the rest is added, and nothing is answered
    twice; a third run answers nothing at all.
    """
    from t5x_lite.inference.engine import Engine

    answered, generate = [], Engine.generate

    def counted(self, prompts, *args, **settings):
        if len(answered) == 2:
            raise KeyboardInterrupt
        answered.append(len(prompts))
        return generate(self, prompts, *args, **settings)

    monkeypatch.setattr(Engine, "generate", counted)
    words = ("--gin.CHECKPOINT_PERIOD=1",)
    assert infer(byt5, folder, *words) == 130
    path = folder / "out" / "inputs-predict.jsonl-00000-of-00001"
    assert not path.exists() and answered == [2, 2]

    answered.append("started again")
    assert infer(byt5, folder, *words) == 0
    assert "goes on behind the 4 examples" in capsys.readouterr().out
    assert answered == [2, 2, "started again", 2, 1]
    resumed = read(path)
    assert infer(byt5, folder, *words) == 0
    assert "all 7 examples were answered before" in capsys.readouterr().out
    assert answered[3:] == [2, 1]

    fresh = folder / "fresh"
    fresh.mkdir()
    (fresh / "inputs.jsonl").write_text((folder / "inputs.jsonl").read_text())
    assert infer(byt5, fresh) == 0
    assert read(fresh / "out" / path.name) == resumed


def test_answers_of_other_settings_are_not_kept(byt5, folder):
    """Another length, or another file under the same name: answered anew."""
    path = folder / "out" / "inputs-predict.jsonl-00000-of-00001"
    assert infer(byt5, folder, "--gin.OUTPUT_IDS=True") == 0
    longer = ("--gin.OUTPUT_IDS=True", "--gin.MAX_DECODE_LENGTH=6")
    assert infer(byt5, folder, *longer) == 0
    assert max(len(line["prediction_tokens"]) for line in read(path)) > 4
    (folder / "inputs.jsonl").write_text('{"inputs": "another"}\n')
    assert infer(byt5, folder, *longer) == 0
    assert [line["inputs"] for line in read(path)] == [{"inputs_pretokenized": "another"}]


def test_answers_of_another_checkpoint_under_the_same_path_are_not_kept(
    byt5, folder, tmp_path, capsys
):
    """Nor lines whose other fields have changed, though the model reads the same."""
    copy = tmp_path / "model"
    shutil.copytree(byt5(), copy)
    words = (f"--gin.CHECKPOINT_PATH={copy}",)
    assert infer(byt5, folder, *words) == 0
    assert infer(byt5, folder, *words) == 0
    assert capsys.readouterr().out.count("were answered before") == 1
    (copy / "model.safetensors").touch()
    assert infer(byt5, folder, *words) == 0
    rows = [json.loads(line) for line in (folder / "inputs.jsonl").read_text().splitlines()]
    lines = [json.dumps({**row, "id": -row["id"]}) + "\n" for row in rows]
    (folder / "inputs.jsonl").write_text("".join(lines))
    assert infer(byt5, folder, *words) == 0
    assert "were answered before" not in capsys.readouterr().out
    written = read(folder / "out" / "inputs-predict.jsonl-00000-of-00001")
    assert [line["inputs"]["id"] for line in written] == [-row["id"] for row in rows]


@pytest.mark.parametrize(
    ("content", "words", "message"),
    [
        ("", [], "is empty: needed is one input a line"),
        ('{"inputs": "a"}\nno json\n', [], "line 2, is not JSON"),
        ('{"text": "a"}\n', [], 'line 1: needed is {"inputs": "text"}'),
        ('{"inputs": "a"}\n', ["--gin.MODE=score"], "mode=score needs targets"),
        ('{"inputs": "a"}\n', ["--gin.NUM_SHARDS=2", "--shard_id=2"], "shard_id=2 of num_shards=2"),
        ('{"inputs": "a"}\n', ["--gin.NUM_DECODES=2"], "strategy='greedy' gives at most 1"),
        ('{"inputs": "a"}\n', ["--gin.BATCH_SIZE=0"], "batch_size=0: needed is at least 1"),
        ('{"inputs": "a"}\n', ["--gin.INPUT_FILE=/no/file"], "no file at /no/file"),
        ('{"inputs": "a"}\n', ["--gin.INPUT_FILE=/dev/zero"], "is a device or a pipe"),
        ('{"inputs": "a"}\n', ["--gin.INPUT_FILE=."], "is a folder; needed is a file"),
        ('{"inputs": "a"}\n{"inputs": "\udcff"}\n', [], "line 2: byte 0xff is no UTF-8"),
        ('{"inputs": "\\ud800"}\n', [], r"line 1: '\ud800' is half of a character"),
        ('{"inputs": "a", "id": "\\udfff"}\n', [], r"line 1: '\udfff' is half of a character"),
        ("[" * 100_000 + "\n", [], "line 1, is nested too deeply"),
        ('{"inputs": "' + "a word " * 5000 + '"}\n', [], "line 1, has 35,001 tokens; needed are"),
        ("\udcff\udcfea\0", [], "is text in UTF-16"),
        ("\x1f\udc8b\b", [], "is compressed by gzip"),
    ],
)
def test_mistakes_are_one_message(byt5, folder, capsys, content, words, message):
    """Before a model is run, with the fix."""
    (folder / "inputs.jsonl").write_bytes(content.encode(errors="surrogateescape"))
    assert infer(byt5, folder, *words) == 2
    assert message in capsys.readouterr().err


def test_a_warning_tells_of_sentinels(byt5, folder, capsys):
    """An untrained model writes them; forbidding them is the way out that is named."""
    assert infer(byt5, folder, "--gin.CHECKPOINT_PERIOD=1") == 0
    assert capsys.readouterr().out.count("of the outputs contain sentinels") == 1
    assert infer(byt5, folder, "--gin.FORBID_SENTINELS=True") == 0
    assert "sentinels (<extra_id" not in capsys.readouterr().out
