"""Tokenizers without TensorFlow against SeqIO's, id for id."""

import json

import pytest
import seqio
from hypothesis import given, settings
from hypothesis import strategies as st

from t5x_lite.errors import UserError
from t5x_lite.features.config import SpecialTokens
from t5x_lite.text.byte_tokenizer import ByteTokenizer
from t5x_lite.text.sentencepiece_tokenizer import SentencePieceTokenizer
from t5x_lite.text.tokenizer import Tokenizer, load_tokenizer, named_tokenizer, with_end
from t5x_lite.text.vocabulary_file import description, read_special

TEXTS = [
    "",
    " ",
    "the cat sat on a mat",
    "und <extra_id_0> lief <extra_id_99> weg",
    "<extra_id_1> the <extra_id_100> cat",
    "  two  spaces\tand a tab\n",
    "naïve ☃ \u2028 字 <unk> </s> <pad>",
    "jel<extra_id_3>ly",
]


def both(path, extra_ids):
    ours = SentencePieceTokenizer(path.read_bytes(), extra_ids)
    return ours, seqio.SentencePieceVocabulary(str(path), extra_ids=extra_ids)


@pytest.mark.parametrize("extra_ids", [0, 5, 100])
def test_sentencepiece_is_seqios(vocabulary_path, extra_ids):
    """Texts with sentinels, unknown characters and odd spaces; there and back."""
    ours, theirs = both(vocabulary_path, extra_ids)
    assert ours.num_ids == theirs.vocab_size
    for text in TEXTS:
        ids = ours.encode(text)
        assert ids == list(theirs.encode(text))
        assert ours.decode(ids) == theirs.decode(ids)
    every = [i for i in range(2, ours.num_ids + 4)]
    assert ours.decode(every) == theirs.decode(every), "every id, and some that are no piece"


@given(text=st.text(max_size=30), ids=st.lists(st.integers(2, 200), max_size=20))
@settings(deadline=None, max_examples=200)
def test_any_text_and_any_ids(vocabulary_path, text, ids):
    """Whatever a user types and whatever a model writes."""
    ours, theirs = both(vocabulary_path, 100)
    assert ours.encode(text) == list(theirs.encode(text))
    assert ours.decode(ids) == theirs.decode(ids)
    ours, theirs = ByteTokenizer(), seqio.ByteVocabulary()
    assert ours.encode(text) == list(theirs.encode(text))
    assert ours.decode([*ids, 1, 7]) == theirs.decode(ids)


def test_sentinels_are_the_last_ids(vocabulary_path):
    """<extra_id_0> is the last one; a vocabulary without has none."""
    ours, _ = both(vocabulary_path, 100)
    assert ours.encode("<extra_id_0>") == [ours.num_ids - 1]
    assert ours.first_sentinel == ours.num_ids - 100
    assert both(vocabulary_path, 0)[0].first_sentinel == ours.first_sentinel
    assert ByteTokenizer(5).num_ids == 264 and ByteTokenizer(5).first_sentinel == 259


def test_decoding_stops_at_the_end_token(vocabulary_path):
    """What stands behind it is padding, or was never meant."""
    ours, _ = both(vocabulary_path, 100)
    (ids,) = with_end(ours, ["the cat"])
    assert ids[-1] == 1 == ours.special.end
    assert ours.decode([*ids, *ids]) == ours.decode([0, *ids[:-1], 0]) == "the cat"


def test_special_ids_are_those_of_the_models(vocabulary_path):
    """A tokenizer and a model of T5 agree unless one of them is told otherwise."""
    ours, _ = both(vocabulary_path, 100)
    assert ours.special == ByteTokenizer().special == SpecialTokens()
    assert ours.encode("\u2603")[-1] == ours.special.unknown


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_a_folder_gives_the_tokenizer_back(vocabulary_path, tmp_path):
    """Both kinds."""
    for number, tokenizer in enumerate(
        (SentencePieceTokenizer(vocabulary_path.read_bytes(), 7), ByteTokenizer(3))
    ):
        folder = write(tmp_path / str(number), tokenizer.files())
        again = load_tokenizer(folder)
        assert isinstance(again, Tokenizer) and type(again) is type(tokenizer)
        assert again.num_ids == tokenizer.num_ids
        assert again.files() == tokenizer.files()
        assert again.encode("the cat") == tokenizer.encode("the cat")


def test_hugging_face_directories(vocabulary_path, tmp_path):
    """T5's file gets its sentinels, ByT5 needs none, and one that is not there is asked for."""
    plain = vocabulary_path.read_bytes()
    folder = write(tmp_path / "t5", {"config.json": b"{}", "spiece.model": plain})
    pieces = SentencePieceTokenizer(plain, 0).num_ids
    assert load_tokenizer(folder).num_ids == pieces + 100
    values = json.dumps({"tokenizer_class": "ByT5Tokenizer", "extra_ids": 125}).encode()
    folder = write(tmp_path / "byt5", {"config.json": b"{}", "tokenizer_config.json": values})
    assert load_tokenizer(folder).num_ids == 384
    folder = write(tmp_path / "none", {"config.json": b"{}"})
    with pytest.raises(
        FileNotFoundError, match="needed is vocabulary.json .* tokenizer.json.* vocabulary=..."
    ):
        load_tokenizer(folder)


def test_sentinels_that_the_file_holds_are_not_added_again(vocabulary_path, tmp_path):
    """mT5's has them among its pieces."""
    from sentencepiece import sentencepiece_model_pb2

    proto = sentencepiece_model_pb2.ModelProto.FromString(vocabulary_path.read_bytes())
    num_pieces = len(proto.pieces)
    for index in reversed(range(100)):
        proto.pieces.add(piece=f"▁<extra_id_{index}>", score=0.0, type=4)
    content = proto.SerializeToString()
    tokenizer = load_tokenizer(write(tmp_path, {"spiece.model": content}))
    assert tokenizer.num_ids == num_pieces + 100
    assert tokenizer.first_sentinel == num_pieces
    assert tokenizer.files()["sentencepiece.model"] == content


def test_a_vocabulary_by_name(vocabulary_path, tmp_path):
    """What --gin.VOCABULARY and load(vocabulary=) take."""
    assert type(named_tokenizer("bytes")) is ByteTokenizer
    ours = named_tokenizer(vocabulary_path)
    assert ours.num_ids == ours.first_sentinel + 100
    with pytest.raises(FileNotFoundError, match="does not exist"):
        named_tokenizer(tmp_path / "nothing.model")
    (tmp_path / "no.model").write_bytes(b"no model at all")
    with pytest.raises(ValueError, match="not a SentencePiece model, but text"):
        named_tokenizer(tmp_path / "no.model")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"kind": "words"}', "kind='words'; needed is"),
        ('{"kind": "bytes"}', "extra_ids=None; needed is the number of sentinels"),
        ('{"kind": "bytes", "extra_ids": "100"}', "extra_ids='100'; needed is the number"),
        ('{"kind": "bytes", "extra_ids": -1}', "extra_ids=-1; needed is the number"),
        ('{"kind": "bytes", "extra_ids": 99999999999}', "needed is the number"),
        ("[]", "needed is a JSON object"),
        ("{", "is not JSON"),
    ],
)
def test_a_description_that_says_nothing_is_refused(tmp_path, content, message):
    (tmp_path / "vocabulary.json").write_text(content)
    with pytest.raises(UserError, match=message):
        named_tokenizer(tmp_path)


def test_the_ids_of_a_folder_are_said_or_refused():
    """Folders that are older than masks have none; an id is a number."""
    ids = {"padding": 3, "start": 1, "end": 2, "unknown": None}
    assert read_special({"special": ids}, "it") == SpecialTokens(**ids)
    assert read_special({"special": ids | {"mask": 4}}, "it").mask == 4
    for wrong in (ids | {"mask": "4"}, ids | {"end": None}, ids | {"more": 1}, {}):
        with pytest.raises(UserError, match="it has "):
            read_special({"special": wrong}, "it")
    for special in (SpecialTokens(**ids), SpecialTokens(**ids, mask=0)):
        values = json.loads(description("bpe", 0, special))
        assert read_special(values, "it") == special
        assert ("mask" in values["special"]) == (special.mask is not None)
