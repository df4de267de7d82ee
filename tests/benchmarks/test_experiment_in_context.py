"""What G-2 trains on and asks: maps that are functions of their number, in one split each."""

import pytest

from benchmarks.experiments import in_context, maps
from t5x_lite.tasks.splits import split_of


def pairs_of(text):
    return dict(zip(text[::2], text[1::2], strict=True))


def key_of(known):
    return "".join(known[symbol] for symbol in maps.SYMBOLS)


def test_a_map_is_a_function_of_its_number_and_in_one_split():
    for split in ("train", "test"):
        drawn = [maps.drawn(split, 3, number)[0] for number in range(20)]
        assert drawn == [maps.drawn(split, 3, number)[0] for number in range(20)]
        assert {split_of(key_of(known)) for known in drawn} == {split}
        assert len({key_of(known) for known in drawn}) == 20
        assert all(set(known.values()) <= set(maps.LABELS) for known in drawn)


def test_a_sequence_shows_one_map_and_its_symbols_come_again(monkeypatch):
    monkeypatch.setattr(maps, "_NUM_SEQUENCES", {"train": 20})
    for number, example in enumerate(maps.sequences.__wrapped__("train")):
        text = example["targets"]
        shown, (known, _) = pairs_of(text), maps.drawn("train", 0, number)
        assert len(text) == 2 * maps.NUM_PAIRS == in_context.LENGTHS["targets"] - 1
        assert len(shown) <= len(maps.SYMBOLS) and shown.items() <= known.items()
        assert text == "".join(f"{symbol}{shown[symbol]}" for symbol in text[::2])


@pytest.mark.parametrize("num_shown", range(len(maps.SYMBOLS) + 1))
def test_a_question_shows_different_pairs_and_asks_for_any(num_shown):
    """Among those shown as often as they are a part of the map, to four standard errors."""
    hits, count = 0, 400
    for number in range(count):
        prompt, label = maps.question("test", number, num_shown)
        shown, asked = pairs_of(prompt[:-1]), prompt[-1]
        assert len(shown) == num_shown and len(prompt) == 2 * num_shown + 1
        known, _ = maps.drawn("test", 1 + num_shown, number)
        assert known[asked] == label and shown.items() <= known.items()
        hits += asked in shown
    share = num_shown / len(maps.SYMBOLS)
    assert abs(hits / count - share) <= 4 * (share * (1 - share) / count) ** 0.5
    assert in_context.known(num_shown) == pytest.approx(share + (1 - share) / 8)
