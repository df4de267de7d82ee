"""SentencePiece as encoders have it: their ids, in Python, within tf.data, and in folders."""

import pickle

import pytest
import sentencepiece
import tensorflow as tf
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st

from t5x_lite.data.unsaveable import stateful_operation
from t5x_lite.errors import UserError
from t5x_lite.text.default_vocabulary import set_default_vocabulary
from t5x_lite.text.encoder_unigram_json import unigram_of_model
from t5x_lite.text.huggingface_files import huggingface_files
from t5x_lite.text.masked_text import encode_masked
from t5x_lite.text.seqio_vocabulary import DefaultVocabulary, padding_of
from t5x_lite.text.template import START_AND_END, START_LAST
from t5x_lite.text.tokenizer import load_tokenizer, what_decides_ids
from t5x_lite.text.unigram_vocabulary import UnigramVocabulary

MADE = {
    "albert": ("albert", {}),
    "accents": ("albert", {"keep_accents": True}),
    "cased": ("albert", {"do_lower_case": False}),
    "as it is": ("albert", {"do_lower_case": False, "keep_accents": True}),
    "xlnet": ("xlnet", {}),
}
QUOTED = ["``a'' 'b' '''c`` `d'", "1,2 3,4,x 10, 10,000,000 (5,) , ,,", "NA\u00cfVE \u1e9e (X-x.)"]


@pytest.fixture(scope="module", params=MADE)
def tokenizer(request, unigram_model):
    family, given = MADE[request.param]
    return unigram_of_model(unigram_model(family), given, "given")


@pytest.fixture(scope="module")
def vocabulary(tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unigram")
    return UnigramVocabulary(write(folder, tokenizer.files()))


@pytest.fixture(scope="module")
def encode_tf(vocabulary):
    """Traced once, as within tf.data."""
    return tf.function(vocabulary.encode_tf, input_signature=[tf.TensorSpec([None], tf.string)])


def write(folder, files):
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def as_bytes(texts):
    return tf.constant([text.encode(errors="surrogateescape") for text in texts])


def as_papers_do(tokenizer, text):
    """Rewritten, cut by the model as its file has it, of a piece such as 1, the number again."""
    rules, normal = tokenizer.rules, tokenizers.normalizers
    text = text.replace("``", '"').replace("''", '"')
    if rules.strip_accents:
        text = normal.Sequence([normal.NFKD(), normal.StripAccents()]).normalize_str(text)
    text = normal.Lowercase().normalize_str(text) if rules.lower_case else text
    model = sentencepiece.SentencePieceProcessor()
    model.LoadFromSerializedProto(tokenizer.model)
    found = []
    for piece in model.EncodeAsPieces(text):
        if len(piece) > 1 and piece[-1] == "," and piece[-2].isdigit():
            parts = model.EncodeAsPieces(piece[:-1].replace("\u2581", ""))
            if piece[0] != "\u2581" and parts[0][0] == "\u2581":
                parts = parts[1:] if parts[0] == "\u2581" else [parts[0][1:], *parts[1:]]
            found += [*parts, ","]
        else:
            found.append(piece)
    return [model.PieceToId(piece) for piece in found]


def test_its_ids_are_those_of_the_papers_code(tokenizer, hostile_words):
    """Whose pieces of numbers end before their commas."""
    for text in [*hostile_words, *QUOTED]:
        if text.isprintable():
            assert tokenizer.encode(text) == as_papers_do(tokenizer, text), text
    names = [tokenizer.name_of(i) for i in tokenizer.encode(QUOTED[1])]
    assert not any(name[-1] == "," and name[-2:-1].isdigit() for name in names)
    if tokenizer.template == START_AND_END:
        names = [tokenizer.name_of(i) for i in range(tokenizer.num_ids)]
        assert any(name[-1] == "," and name[-2:-1].isdigit() for name in names), "there are some"


def test_rules_say_what_becomes_of_text(tokenizer):
    """Quotes, capitals and accents."""
    ids, rules = tokenizer.encode, tokenizer.rules
    assert ids("``a''") == ids('"a"')
    assert (ids("THE Cat") == ids("the cat")) == rules.lower_case
    assert (ids("na\u00efve") == ids("naive")) == rules.strip_accents
    assert tokenizer.decode([*ids("the cat (sat)"), tokenizer.special.end, 9]) == "the cat (sat)"


def test_hostile_texts_have_the_tokenizers_ids(vocabulary, hostile_words):
    """Within tf.data: all at once, and each by itself; empty ones, and what is no UTF-8."""
    hostile = [*hostile_words, *QUOTED]
    expected = [vocabulary.encode(text) for text in hostile]
    together = vocabulary.encode_tf(as_bytes(hostile))
    assert together.dtype == tf.int32
    for text, found, ids in zip(hostile, together.to_list(), expected, strict=True):
        assert found == ids, ascii(text)
    for text, ids in zip(as_bytes(hostile), expected, strict=True):
        assert vocabulary.encode_tf(text).numpy().tolist() == ids


@given(data=st.data())
@settings(deadline=None, max_examples=60)
def test_any_texts(vocabulary, any_text, encode_tf, data):
    """A batch at a time, bytes that are no UTF-8 among them."""
    drawn = data.draw(st.lists(any_text, min_size=1, max_size=8))
    assert encode_tf(as_bytes(drawn)).to_list() == [vocabulary.encode(text) for text in drawn]


def test_it_is_a_vocabulary_as_others_are(vocabulary, tokenizer):
    """Ids, what begins words, decoding, pickling, and no state within tf.data."""
    special = tokenizer.special
    assert (vocabulary.eos_id, vocabulary.bos_id) == (special.end, special.start)
    assert vocabulary.vocab_size == tokenizer.num_ids and vocabulary.extra_ids == 0
    words = [vocabulary.begins_word(i) for i in tokenizer.encode("the cat,")]
    assert words[0] and words[-1]
    ids = [*tokenizer.encode("the cat"), special.end, special.padding]
    assert vocabulary.decode_tf(tf.constant([ids])).numpy().tolist() == [b"the cat"]
    assert vocabulary.decode(ids) == "the cat"
    assert pickle.loads(pickle.dumps(vocabulary)) == vocabulary
    dataset = tf.data.Dataset.from_tensor_slices(["the cat"]).map(vocabulary.encode_tf)
    assert stateful_operation(dataset) is None
    set_default_vocabulary(vocabulary.path)
    default = DefaultVocabulary()
    assert default.encode("the cat") == tokenizer.encode("the cat")
    assert padding_of(default) == special.padding


def test_a_folder_is_read_back(tokenizer, tmp_path):
    """All that decides ids."""
    again = load_tokenizer(write(tmp_path, tokenizer.files()))
    assert again.files() == tokenizer.files()
    assert what_decides_ids(again.files()) == what_decides_ids(tokenizer.files())


@pytest.mark.parametrize(
    "names", [["tokenizer.json"], ["spiece.model", "tokenizer_config.json"]], ids="+".join
)
def test_of_any_age_it_has_the_same_ids(tokenizer, names, tmp_path, hostile_words):
    """Of pieces that nobody defined; transformers 5 writes tokenizer.json, older ones the model."""
    files = huggingface_files(tokenizer)
    again = load_tokenizer(write(tmp_path, {name: files[name] for name in names}))
    assert (again.special, again.template) == (tokenizer.special, tokenizer.template)
    assert again.rules.lower_case == tokenizer.rules.lower_case
    for text in [*hostile_words, *QUOTED]:
        assert again.encode(text) == tokenizer.encode(text), ascii(text)


def test_special_tokens_are_those_of_the_family(unigram_model):
    """Found by their pieces; a mask in a text takes the blank before it."""
    albert, xlnet = (unigram_of_model(unigram_model(f), {}, "given") for f in ("albert", "xlnet"))
    assert albert.template == START_AND_END and xlnet.template == START_LAST
    for tokenizer, mask in ((albert, "[MASK]"), (xlnet, "<mask>")):
        names = tokenizer.name_of(tokenizer.special.start), tokenizer.name_of(tokenizer.special.end)
        assert names == (("[CLS]", "[SEP]") if mask == "[MASK]" else ("<cls>", "<sep>"))
        ids = encode_masked(tokenizer, f"the {mask} sat")
        expected = [tokenizer.encode("the"), [tokenizer.special.mask], tokenizer.encode("sat")]
        assert ids == sum(expected, [])
        assert tokenizer.special.mask not in tokenizer.encode(f"the {mask} sat")


def test_what_is_not_theirs_is_refused(tokenizer, unigram_model, tmp_path, vocabulary_path):
    """A special token without a piece, a switch that is none, T5's normalizer; T5's own is T5's."""
    model = unigram_model("albert")
    with pytest.raises(UserError, match=r"cls_token '\[C\]' has no id"):
        unigram_of_model(model, {"cls_token": "[C]"}, "given")
    with pytest.raises(UserError, match="do_lower_case is 'yes'; needed is true or false"):
        unigram_of_model(model, {"do_lower_case": "yes"}, "given")
    assert unigram_of_model(vocabulary_path.read_bytes(), {}, "given") is None
    files = huggingface_files(tokenizer)
    damaged = files["tokenizer.json"].replace(b'"Replace"', b'"Prepend"', 1)
    with pytest.raises(UserError, match="its normalizer .* in another way"):
        load_tokenizer(write(tmp_path, {"tokenizer.json": damaged}))
