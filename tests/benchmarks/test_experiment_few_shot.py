"""G-3: what it says of its draws, and that none is measured twice."""

from benchmarks.experiments import few_shot
from benchmarks.experiments.experiment import Record
from benchmarks.experiments.lab import MINIATURE, Lab


def test_the_notes_say_how_many_draws_beat_the_majority():
    """Of each model and number of demonstrations, by the ratio."""
    records = [Record(few_shot.MAJORITY, None, {"accuracy": 52.0, "ratio": 52.0})]
    for name, shift in ((few_shot.GPT2, 0), (few_shot.T5, 3)):
        records.append(Record(f"{name}, K = 0", 0, {"ratio": 50.0 + shift}))
        for k in few_shot.SHOTS[1:]:
            records += [
                Record(f"{name}, K = {k}", draw, {"ratio": 49.0 + draw + shift})
                for draw in range(5)
            ]
    first, second = few_shot.EXPERIMENT.notes(records)
    assert (
        "K = 0 50.0 %" in first and "K = 8 49.0 to 53.0 %, 1 of 5 draws above the 52.0 %" in first
    )
    assert "K = 1 52.0 to 56.0 %, 4 of 5 draws above" in second


def test_a_draw_is_measured_once(tmp_path, monkeypatch):
    """Also by another process, after the first was killed."""
    asked = []

    def measured(lab, model, k, draw):
        asked.append((model.task, k, draw))
        return {"accuracy": 50.0, "ratio": 50.0, "shown": float(k), "majority": 50.0}

    monkeypatch.setattr(few_shot, "_measured", measured)
    lab = Lab(tmp_path, MINIATURE)
    first = list(few_shot.measure(lab, [0]))
    assert len(asked) == len(set(asked)) == 2 * (1 + 2 + 2)
    assert list(few_shot.measure(Lab(tmp_path, MINIATURE), [0])) == first
    assert len(asked) == 10
