"""What experiments with encoders are made of: their text, their commands, and what they count."""

import pytest

from benchmarks.experiments import corpora, encoders, replaced, sentence_order, sharing, steps
from benchmarks.experiments.experiment import Record
from benchmarks.experiments.lab import Lab
from benchmarks.experiments.runs import train_words


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path, say=lambda text: None)


def words_of(run):
    return train_words(run, model_dir="run", vocabulary="words", parent_dir=None)


@pytest.mark.test_data
def test_articles_are_paragraphs_of_the_same_split(test_data_dir, monkeypatch):
    """Each is one text, so that a next sentence and another document's can be told apart."""
    monkeypatch.setenv("T5X_LITE_TEST_DATA", str(test_data_dir))
    for split in ("train", "test"):
        articles = [each["targets"] for each in corpora.whole_articles(split)]
        lines = [line for text in articles for line in text.split("\n")]
        assert lines == [each["targets"] for each in corpora.wikitext(split)]
        assert len(articles) > 5


def test_arms_differ_in_what_they_compare_and_in_nothing_else(lab):
    """Two losses, two objectives, four sharings."""
    pairs = [
        ([replaced.training(lab, arm, 0) for arm in (replaced.ALL_TOKENS, replaced.CHOSEN_ONLY)]),
        ([sentence_order.training(lab, arm, 0) for arm in sentence_order.OBJECTIVES]),
        ([sharing.training(lab, each, 0) for each in sharing.SHARINGS]),
    ]
    differ = {"REPLACED_ONLY_CHOSEN"}, {"MIXTURE_OR_TASK_NAME"}, {"LAYER_SHARING"}
    for runs, names in zip(pairs, differ, strict=True):
        assert len({run.name for run in runs}) == len(runs)
        for run in runs[1:]:
            changed = {n for n, value in run.settings.items() if value != runs[0].settings[n]}
            assert changed == names


def test_a_reference_is_no_text(lab):
    """In gin's own words."""
    words = words_of(sharing.training(lab, "all", 0))
    assert "--gin.HEADS=(@masked/HeadConfig(),)" in words
    assert "--gin.LAYER_SHARING='all'" in words


def test_a_model_is_asked_without_being_changed(lab):
    """By a step of no rate, about the pairs of the other objective."""
    run = sentence_order.asked(lab, sentence_order.NSP, sentence_order.SOP, 0)
    words = words_of(run)
    assert "--gin.LEARNING_RATE=0.0" in words and "--gin.AdamWConfig.weight_decay=0.0" in words
    assert "--gin.MIXTURE_OR_TASK_NAME='experiments_masked_sentence_order'" in words
    assert run.start_from.name == "sentences/nsp_seed_0" and run.last_step == run.first_step + 1


def test_lengths_are_those_of_the_objective():
    """A class for pairs alone."""
    assert "classes" not in encoders.lengths("masked_ngrams")
    assert encoders.lengths("masked_sentence_order")["classes"] == 1


def test_notes_say_what_holds():
    """By the worst seed."""
    records = [
        Record(replaced.ALL_TOKENS, 0, {"auroc": 80.0}),
        Record(replaced.ALL_TOKENS, 1, {"auroc": 76.0}),
        Record(replaced.CHOSEN_ONLY, 0, {"auroc": 70.0}),
        Record(replaced.UNIGRAM, 0, {"auroc": 55.0}),
    ]
    (note,) = replaced._notes(records)
    assert "76.0 %, at least 75, and above the best of unigram frequency, 55.0" in note
    records[1] = Record(replaced.ALL_TOKENS, 1, {"auroc": 54.0})
    (note,) = replaced._notes(records)
    assert "54.0 %, NOT at least 75, and NOT above" in note
    scores = {"sop": 60.0, "nsp": 55.0, "pairs": 1_000.0}
    chance = {"sop": 50.5, "nsp": 70.0, "pairs": 1_000.0}
    found = sentence_order._notes(
        [Record(sentence_order.SOP, 0, scores), Record(sentence_order.NSP, 0, chance)]
    )[0]
    assert "sentence order, SOP 60.0 to 60.0 %, the least above chance" in found
    assert "next sentence, SOP 50.5 to 50.5 %, the least not told from chance" in found


def test_steps_are_timed_in_turn():
    """Each arm once in every round, who comes first changes, and compiling does not count."""
    order = []

    def arm(name, batches):
        def step(state, batch):
            order.append((name, batch))
            return state + 1, {}

        return steps.Steps(step, 0, batches)

    arms = {"a": arm("a", [1, 2]), "b": arm("b", [3])}
    times = steps.timed_in_turn(arms, 3)
    names = "".join(name for name, _ in order)
    assert names == "ab" + "ba" + "ab" + "ba"
    assert [batch for name, batch in order if name == "a"] == [1, 2, 1, 2]
    assert {name: len(own) for name, own in times.items()} == {"a": 3, "b": 3}
    assert arms["a"].state == 4
