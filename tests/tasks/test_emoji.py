"""Emoji names: nothing of the test is in training, and the formats are as documented."""

import re

import seqio

from t5x_lite.tasks import emoji
from t5x_lite.tasks.splits import SPLITS


def examples(language, split):
    task = seqio.get_mixture_or_task(f"emoji_en_{language}")
    dataset = task.source.get_dataset(split=split, shuffle=False)
    return [{k: v.decode() for k, v in e.items()} for e in dataset.as_numpy_iterator()]


def base_emoji(character):
    return re.sub("[\U0001f3fb-\U0001f3ff\ufe0f]", "", character)


def test_splits_share_no_base_emoji_and_no_input():
    """All skin tones of one emoji are in one split; so are both languages of it."""
    of = {s: [e for code in emoji.LANGUAGES for e in examples(code, s)] for s in SPLITS}
    for left, right in (("train", "test"), ("train", "validation"), ("validation", "test")):
        for key in (lambda e: base_emoji(e["emoji"]), lambda e: e["inputs"]):
            assert not set(map(key, of[left])) & set(map(key, of[right]))


def test_skin_tones_are_found_anywhere_in_a_name():
    """`man dark skin tone beard` and `man beard` are one base emoji."""
    assert emoji.base_name("man_dark_skin_tone_beard") == "man_beard"
    assert emoji.base_name("couple_medium-light_skin_tone_dark_skin_tone") == "couple"
    for names in emoji.load():
        toned = any(0x1F3FB <= ord(c) <= 0x1F3FF for c in names["emoji"])
        # A bare modifier is an emoji of its own, but a component, which is left out.
        assert toned == (emoji.base_name(names["en"]) != names["en"])


def test_every_emoji_is_in_one_split_once():
    """About 3,960, and as many as the source says before it is read."""
    source = seqio.get_mixture_or_task("emoji_en_de").source
    counts = [len(examples("de", split)) for split in SPLITS]
    assert counts == [source.num_input_examples(split) for split in SPLITS]
    assert sum(counts) == len(emoji.load()) > 3900
    assert min(counts) > 150


def test_the_format():
    """A known emoji in both languages."""
    found = {
        (code, e["emoji"]): e for code in emoji.LANGUAGES for s in SPLITS for e in examples(code, s)
    }
    german, french = found["de", "\U0001f600"], found["fr", "\U0001f600"]
    assert german["inputs"] == "translate English to German: grinning face"
    assert german["targets"] == "grinsendes gesicht"
    assert french["inputs"] == "translate English to French: grinning face"
    assert french["targets"] == "visage rieur"
