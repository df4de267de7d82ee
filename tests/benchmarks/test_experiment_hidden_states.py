"""D-3: what it says of its records, and that nothing is measured twice."""

import pytest

from benchmarks.experiments import few_shot, hidden_states
from benchmarks.experiments.experiment import Record
from benchmarks.experiments.hidden_states import OPTIMISED, OTHER, PLAIN, ROWS, SST2, arm
from benchmarks.experiments.lab import MINIATURE, Lab


def test_the_notes_say_how_much_was_gained():
    """In relation to plain reading of the same seed; of draws the mean and its standard error."""
    records = []
    for text, gain in ((hidden_states.IN_DOMAIN, 0.01), (OTHER, 0.05)):
        for seed in range(2):
            level = 100.0 + seed
            gained = level * (1 - gain * (1 + seed))
            for how, perplexity, time in (
                (ROWS, 120.0, 0.1),
                (PLAIN, level, 0.4),
                (OPTIMISED, gained, 0.4),
            ):
                scores = {"perplexity": perplexity, "time": time}
                records.append(Record(arm(text, how), seed, scores))
    for draw, gain in enumerate((0.0, 1.0, 2.0)):
        for how, accuracy in ((PLAIN, 50.0), (OPTIMISED, 50.0 + gain)):
            scores = {"accuracy": accuracy, "ratio": accuracy}
            records.append(Record(arm(SST2, how), draw, scores))
    (note,) = hidden_states.EXPERIMENT.notes(records)
    assert "WikiText-2 1.00 to 2.00 %; Grimm 5.00 to 10.00 %" in note
    assert "+1.00 points (standard error 0.58)" in note
    assert "4.0 times as long" in note


def test_the_step_size_is_chosen_on_the_development_part_and_nothing_is_measured_twice(
    tmp_path, monkeypatch
):
    """Also by another process, after the first was killed."""
    asked = []

    def perplexity(lab, model, text, part, size):
        asked.append((text, part, size))
        best = 0.1 if text == OTHER else 0.03
        return {"perplexity": 100.0 if size is None else 90 + abs(size - best), "time": 0.1}

    def answered(lab, model, split, draw, size, most):
        asked.append((split, draw, size))
        return {"accuracy": 50.0, "ratio": 50.0, "log_loss": abs(size - 0.03)}

    monkeypatch.setattr(hidden_states, "_perplexity", perplexity)
    monkeypatch.setattr(hidden_states, "_answered", answered)
    monkeypatch.setattr("t5x_lite.load", lambda *_, **__: None)
    monkeypatch.setattr(Lab, "train", lambda *_: tmp_path)
    found = list(hidden_states.measure(Lab(tmp_path, MINIATURE), [0]))
    chosen = {each.arm: each.scores.get("step_size") for each in found}
    assert chosen[arm(OTHER, OPTIMISED)] == 0.1
    assert chosen[arm(hidden_states.IN_DOMAIN, OPTIMISED)] == 0.03
    assert chosen[arm(SST2, OPTIMISED)] == 0.03
    sizes = len(hidden_states.step_sizes(Lab(tmp_path, MINIATURE)))
    expected = 2 * (sizes + 3) + sizes + 2 * 2
    assert len(asked) == len(set(asked)) == expected
    assert list(hidden_states.measure(Lab(tmp_path, MINIATURE), [0])) == found
    assert len(asked) == expected
    assert few_shot.GPT2 in few_shot.models(Lab(tmp_path, MINIATURE))


@pytest.mark.test_data
def test_streams_of_the_two_parts_have_nothing_in_common(test_data_dir, monkeypatch):
    """Tokens are letters here."""
    monkeypatch.setenv("T5X_LITE_TEST_DATA", str(test_data_dir))

    class Letters:
        tokenizer = type("", (), {"encode": staticmethod(lambda text: list(text.encode()))})

    class Full:
        scale = type("", (), {"num_examples": None})

    for text in (hidden_states.IN_DOMAIN, OTHER):
        parts = {}
        for part, count in hidden_states.STREAMS.items():
            found = hidden_states.streams(Full, Letters, text, part)
            assert [len(each) for each in found] == [hidden_states.STREAM] * count
            parts[part] = {bytes(each) for each in found}
        assert not parts["dev"] & parts["test"]
