"""Texts that are like a text: as many as are said, stop words as they were, the same every time."""

import dataclasses
import json

import pytest

from t5x_lite import cli
from t5x_lite.compression.augmentation import augmented, replaceable
from t5x_lite.compression.distillation_config import AugmentConfig
from t5x_lite.errors import UserError
from t5x_lite.inference import augment as augment_files
from t5x_lite.inference import text_model

DEFAULT = AugmentConfig()
STOP = {"the", "is", "not"}
TEXTS = (
    "The film is not good, and the 2nd half is worse.",
    "is not the",
    "",
    "Schön!  Ein  Film",
)


def made(text, config=DEFAULT, row=0, others=("one", "two", "three")):
    words = replaceable(text, STOP)
    return augmented(text, words, [others] * len(words), config, row=row)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("copies", [0, 1, 20])
@pytest.mark.parametrize("probability", [0.0, 0.4, 1.0])
def test_there_are_1_to_one_more_than_copies_each_once(text, copies, probability):
    """The text itself first; what is no word to replace stands in all of them, letter by letter."""
    config = AugmentConfig(copies=copies, probability=probability)
    for row in range(5):
        found = made(text, config, row)
        assert 1 <= len(found) == len(set(found)) <= copies + 1
        assert found[0] == text
        kept = [word for word in replaceable(text, ()) if word not in replaceable(text, STOP)]
        for each in found:
            others = [w.text for w in replaceable(each, {"one", "two", "three"})]
            assert [w for w in others if w.lower() in STOP] == [w.text for w in kept]
            assert each.count(" ") == text.count(" ") and "2nd" in each or "2nd" not in text


def test_the_share_of_replaced_words_is_the_probability():
    text = " ".join(["word"] * 50)
    config = AugmentConfig(copies=200, probability=0.4)
    copies = made(text, config)[1:]
    replaced = sum(word != "word" for each in copies for word in each.split())
    assert 0.37 < replaced / (50 * len(copies)) < 0.43


def test_a_word_without_candidates_stays():
    assert made("a film", AugmentConfig(probability=1.0), others=()) == ["a film"]


def test_a_row_is_made_alike_every_time_and_rows_are_not():
    text = "many words of which some may be others"
    assert made(text, row=3) == made(text, row=3)
    assert made(text, row=3) != made(text, row=4)
    assert made(text, AugmentConfig(seed=1), row=3) != made(text, row=3)


@pytest.mark.parametrize(("field", "value"), [("probability", 1.5), ("copies", -1)])
def test_what_cannot_be_meant_is_refused(field, value):
    with pytest.raises(UserError, match=f"{field}={value}: needed is"):
        dataclasses.replace(AugmentConfig(), **{field: value})


class OneOther:
    """Candidates without a model."""

    def __init__(self, model, count):
        self.count = count

    def of_texts(self, texts, words):
        return [[["other"] * self.count for _ in own] for own in words]


def test_a_command_writes_rows_with_what_they_keep(tmp_path, monkeypatch, capsys):
    """A row behind the other; a field that is not there is named with its place."""
    monkeypatch.setattr(text_model, "load", lambda path: None)
    monkeypatch.setattr(augment_files, "Candidates", OneOther)
    rows = "".join(f"word {n} and the film\tlabel{n}\n" for n in range(40))
    (tmp_path / "train.tsv").write_text(f"sentence\tlabel\n{rows}")
    output = tmp_path / "more.jsonl"
    words = ["augment", "somewhere", f"--data={tmp_path / 'train.tsv'}", f"--output={output}"]
    assert cli.main([*words, "--field=sentence", "--keep=label", "--copies=3"]) == 0
    found = [json.loads(line) for line in output.read_text().splitlines()]
    assert {row["label"] for row in found} == {f"label{n}" for n in range(40)}
    assert all(row["sentence"].split()[1] == row["label"].removeprefix("label") for row in found)
    assert any("other" in row["sentence"] for row in found)
    assert 40 < len(found) <= 160
    capsys.readouterr()
    assert cli.main([*words, "--field=text"]) == 2
    assert "train.tsv, line 2: it has no field 'text'; it has sentence, label" in (
        capsys.readouterr().err
    )
