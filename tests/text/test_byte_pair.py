"""Byte-level BPE against the algorithm written slowly, and against OpenAI's own ids."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t5x_lite.errors import UserError
from t5x_lite.features.config import SpecialTokens
from t5x_lite.text.byte_pair import BytePairTokenizer, parse_merges
from t5x_lite.text.tokenizer import Tokenizer, load_tokenizer

# What tiktoken 0.14 gives with OpenAI's files.
OPENAI = {
    "Hello world": [15496, 995],
    "I'll say it's fine'S, 'said": [40, 1183, 910, 340, 338, 3734, 6, 50, 11, 705, 30079],
    "\U0001f642 \U0001f469\u200d\xe9": [8582, 25081, 50169, 102, 447, 235, 2634],
    "a   b\n\n\n c \t d  ": [64, 220, 220, 275, 628, 198, 269, 220, 197, 288, 220, 220],
    "12 345\u2154 \u2460x": [1065, 39937, 158, 227, 242, 2343, 239, 254, 87],
    "\u5b57 \u0928\u092e": [27764, 245, 28225, 101, 11976, 106],
    "\xa0\u3000x\x85y\x00z": [1849, 5099, 222, 87, 126, 227, 88, 188, 89],
    "<|endoftext|>": [27, 91, 437, 1659, 5239, 91, 29],
}


@pytest.fixture(scope="module")
def gpt2(test_data_dir):
    folder = test_data_dir / "vocab" / "gpt2"
    merges = parse_merges((folder / "merges.txt").read_text(), folder)
    special = SpecialTokens(start=50_256, end=50_256, unknown=None)
    return BytePairTokenizer(json.loads((folder / "vocab.json").read_text()), merges, special)


def as_bytes(text):
    return text.encode(errors="surrogateescape")


def test_hostile_texts_are_those_of_the_algorithm(byte_pair, slow_encode, hostile_texts):
    """Ids, and the same bytes back; in the small vocabulary most words stay in parts."""
    assert len(byte_pair.merges) > 100
    for text in hostile_texts:
        ids = byte_pair.encode(text)
        assert ids == slow_encode(byte_pair, text), text
        assert b"".join(byte_pair.bytes_of[i] for i in ids) == as_bytes(text)


@given(data=st.data())
@settings(deadline=None, max_examples=300)
def test_any_text(byte_pair, slow_encode, any_text, data):
    """Letters, numbers and blanks of all scripts, and bytes that are no UTF-8."""
    text = data.draw(any_text)
    ids = byte_pair.encode(text)
    assert ids == slow_encode(byte_pair, text)
    assert byte_pair.decode(ids) == as_bytes(text).decode(errors="replace")


def test_decoding_stops_at_the_end_and_leaves_out_what_is_no_text(byte_pair):
    """Id 0 is "!", and no padding; an id behind the last, as a padded model has, is nothing."""
    end = byte_pair.special.end
    ids = byte_pair.encode("!a!")
    assert ids[0] == 0
    assert byte_pair.decode([*ids, byte_pair.num_ids, -1, end, *ids]) == "!a!"


def test_half_a_surrogate_pair_is_a_replacement_character(byte_pair):
    """JSON can say it, UTF-8 cannot."""
    assert byte_pair.encode("a\ud800 b") == byte_pair.encode("a\ufffd b")


def test_sentinels_stand_behind_the_pieces_in_reverse(byte_pair):
    """No text becomes one; what a model writes is seen."""
    more = BytePairTokenizer(byte_pair.pieces, byte_pair.merges, byte_pair.special, extra_ids=3)
    assert (more.first_sentinel, more.num_ids) == (400, 403)
    assert more.decode([402, 401, 400]) == "<extra_id_0><extra_id_1><extra_id_2>"
    assert more.encode("<extra_id_0>") == byte_pair.encode("<extra_id_0>")


@pytest.mark.parametrize("extra_ids", [0, 3])
def test_a_folder_gives_the_tokenizer_back(byte_pair, tmp_path, extra_ids):
    """With the ids of start and end, which T5's folders need not say."""
    ours = BytePairTokenizer(byte_pair.pieces, byte_pair.merges, byte_pair.special, extra_ids)
    for name, content in ours.files().items():
        (tmp_path / name).write_bytes(content)
    again = load_tokenizer(tmp_path)
    assert isinstance(again, Tokenizer) and type(again) is BytePairTokenizer
    assert (again.files(), again.special) == (ours.files(), ours.special)
    assert again.encode("the cat's") == ours.encode("the cat's")


def changed(tokenizer, **changes):
    values = {"pieces": tokenizer.pieces, "merges": tokenizer.merges, "special": tokenizer.special}
    return BytePairTokenizer(**values | changes, source="x.json")


def test_what_is_no_byte_level_vocabulary_is_refused(byte_pair):
    """A byte without a piece would vanish from the text without a word."""
    pieces = byte_pair.pieces
    without = {p: i for p, i in pieces.items() if p != "\u0120"}
    bad = {
        "are not 0, 1, 2": {"pieces": without},
        "1 of the 256 bytes have no piece": {"pieces": without | {"more": pieces["\u0120"]}},
        "has the id '0'": {"pieces": pieces | {"!": "0"}},
        "'zzzz' and 'q' merge, but 'zzzz' has no id": {"merges": [("zzzz", "q")]},
        "the end token is 400, but there are 400 pieces": {"special": SpecialTokens(end=400)},
    }
    for message, changes in bad.items():
        with pytest.raises(UserError, match=f"x.json: .*{message}"):
            changed(byte_pair, **changes)
    with pytest.raises(UserError, match="' ' is no byte"):
        more = pieces | {"a b": 400, "a bc": 401}
        changed(byte_pair, pieces=more, merges=[("a b", "c")])


def test_a_line_of_merges_that_holds_no_pair_is_named():
    assert parse_merges("#version: 0.2\na b\r\n\n# c\n", "x") == [("a", "b"), ("#", "c")]
    with pytest.raises(UserError, match="merges.txt, line 2: 'a b c'; needed are two pieces"):
        parse_merges("a b\na b c\n", "merges.txt")


@pytest.mark.parametrize(
    ("special", "message"),
    [
        ("null", "has special=None; needed is an object with end, padding, start"),
        ('{"end": 1}', "needed is an object with end, padding, start"),
        (
            '{"padding": 0, "start": 1, "end": "1", "unknown": null}',
            "has end='1'; needed is an id",
        ),
    ],
)
def test_special_ids_that_say_nothing_are_refused(tmp_path, special, message):
    (tmp_path / "vocabulary.json").write_text(
        f'{{"kind": "bpe", "extra_ids": 0, "special": {special}}}'
    )
    with pytest.raises(UserError, match=message):
        load_tokenizer(tmp_path)


@pytest.mark.test_data
def test_the_published_vocabulary_gives_openais_ids(gpt2, slow_encode, hostile_texts):
    for text, ids in OPENAI.items():
        assert gpt2.encode(text) == ids
    for text in hostile_texts:
        assert gpt2.encode(text) == slow_encode(gpt2, text)
    assert gpt2.num_ids == 50_257


@pytest.mark.test_data
def test_the_published_files_are_written_as_they_are(gpt2, test_data_dir):
    for name, content in gpt2.openai_files().items():
        assert (test_data_dir / "vocab" / "gpt2" / name).read_bytes() == content
