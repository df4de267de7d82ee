"""Byte-level BPE within tf.data: the ids of the tokenizer, and positions that can be saved."""

import pickle

import pytest
import seqio
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from t5x_lite.data.unsaveable import stateful_operation
from t5x_lite.errors import UserError
from t5x_lite.text.byte_pair import BytePairTokenizer, word_splitter
from t5x_lite.text.byte_pair_vocabulary import BytePairVocabulary
from t5x_lite.text.byte_pair_words import words


def write(folder, tokenizer):
    for name, content in tokenizer.files().items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def vocabulary(byte_pair, tmp_path_factory):
    return BytePairVocabulary(write(tmp_path_factory.mktemp("bpe"), byte_pair))


@pytest.fixture(scope="module")
def encode_tf(vocabulary):
    """Traced once, as within tf.data."""
    return tf.function(vocabulary.encode_tf, input_signature=[tf.TensorSpec([None], tf.string)])


def as_bytes(texts):
    return tf.constant([text.encode(errors="surrogateescape") for text in texts])


def test_hostile_texts_have_the_tokenizers_ids(vocabulary, hostile_texts):
    """All at once, and each by itself, as SeqIO tokenizes: empty ones, and what is no UTF-8."""
    expected = [vocabulary.encode(text) for text in hostile_texts]
    texts = as_bytes(hostile_texts)
    together = vocabulary.encode_tf(texts)
    assert together.dtype == tf.int32 and together.to_list() == expected
    for text, ids in zip(texts, expected, strict=True):
        assert vocabulary.encode_tf(text).numpy().tolist() == ids


@given(data=st.data())
@settings(deadline=None, max_examples=100)
def test_any_texts_and_their_bytes_back(vocabulary, any_text, encode_tf, data):
    """A batch at a time; what comes back are the very bytes, those that are no UTF-8 as well."""
    drawn = data.draw(st.lists(any_text, min_size=1, max_size=8))
    ids = encode_tf(as_bytes(drawn))
    assert ids.to_list() == [vocabulary.encode(text) for text in drawn]
    whole = "".join(drawn).encode(errors="surrogateescape")
    assert vocabulary.decode_tf(ids.values).numpy() == whole


def test_every_character_is_of_the_class_that_the_library_gives_it():
    """Beside a letter, a number, a blank and a sign, so that each class gives other words."""
    codes = [i for i in range(0x3_2000) if not 0xD800 <= i < 0xE000]
    codes += [0x3_FFFF, 0x4_0000, 0xE_0001, 0xE_0100, 0xF_0000, 0x10_FFFF]
    text = "".join(f"a{chr(i)}1{chr(i)} {chr(i)}!" for i in codes)
    expected = [text[slice(*span)] for _, span in word_splitter().pre_tokenize_str(text)]
    assert [word.decode() for word in words(tf.constant([text])).values.numpy()] == expected


def test_no_text_at_all(vocabulary):
    """An empty batch, as the rest of a data set may be."""
    assert vocabulary.encode_tf(tf.constant([], tf.string)).to_list() == []
    assert vocabulary.decode_tf(tf.constant([[]], tf.int32)).numpy().tolist() == [b""]


def test_a_text_keeps_its_place_in_rows_of_texts(vocabulary):
    """Choices of a question are rows of texts, of one length or of several."""
    rows = [["the cat", "  12's"], ["", "sat"]]
    expected = [[vocabulary.encode(text) for text in row] for row in rows]
    assert vocabulary.encode_tf(tf.constant(rows)).to_list() == expected
    assert vocabulary.encode_tf(tf.ragged.constant(rows)).to_list() == expected


def test_what_stands_behind_the_end_is_no_text(vocabulary):
    """SeqIO's decode_tf pads with 0, which is "!" here."""
    ids = vocabulary.encode("cat!")
    more = [*ids, vocabulary.eos_id, *ids, 0, 0]
    assert vocabulary.decode_tf(tf.constant([more, more])).numpy().tolist() == [b"cat!", b"cat!"]
    assert vocabulary.decode(more) == "cat!"


def test_what_seqio_asks_of_a_vocabulary(vocabulary, byte_pair, tmp_path):
    """Sizes and special ids; features with it are compared, hashed and copied."""
    assert (vocabulary.vocab_size, vocabulary.extra_ids) == (400, 0)
    assert (vocabulary.bos_id, vocabulary.eos_id, vocabulary.unk_id) == (399, 399, None)
    again = pickle.loads(pickle.dumps(vocabulary))
    assert again == vocabulary and hash(again) == hash(vocabulary)
    assert again.encode("the cat") == vocabulary.encode("the cat")
    assert BytePairVocabulary(tmp_path) != vocabulary
    more = BytePairTokenizer(byte_pair.pieces, byte_pair.merges, byte_pair.special, extra_ids=3)
    assert BytePairVocabulary(write(tmp_path, more)).vocab_size == 403


def test_another_vocabulary_is_refused(vocabulary_path):
    with pytest.raises(UserError, match="tiny.model is no byte-level BPE but a SentencePiece"):
        BytePairVocabulary(vocabulary_path).encode("a")


def tokenized(vocabulary, sentences):
    """As a task does it: texts to ids with an end token, by SeqIO's own preprocessors."""
    feature = {"targets": seqio.Feature(vocabulary, add_eos=True)}
    texts = tf.data.Dataset.from_tensor_slices({"targets": sentences[:30]}).repeat(2)
    ids = seqio.preprocessors.tokenize(texts, feature, copy_pretokenized=False)
    return seqio.preprocessors.append_eos(ids, feature).shuffle(16, seed=1)


def test_an_iterator_that_was_saved_goes_on_where_it_stood(vocabulary, sentences, tmp_path):
    """Nothing in the operations keeps a state, and no row is lost, doubled or changed."""
    make = lambda: tokenized(vocabulary, sentences)  # noqa: E731
    assert stateful_operation(make()) is None
    whole = [row["targets"].tolist() for row in make().as_numpy_iterator()]
    assert whole[0][-1] == vocabulary.eos_id
    iterator = iter(make())
    before = [next(iterator)["targets"].numpy().tolist() for _ in range(37)]
    path = tf.train.Checkpoint(iterator=iterator).write(str(tmp_path / "position"))
    restored = iter(make())
    tf.train.Checkpoint(iterator=restored).read(path).assert_consumed()
    assert before + [row["targets"].numpy().tolist() for row in restored] == whole


@pytest.mark.test_data
def test_the_published_vocabulary_on_real_text(test_data_dir, hostile_texts):
    """GPT-2's ids for tales, whole documents at once, and for hostile texts."""
    gpt2 = BytePairVocabulary(test_data_dir / "vocab" / "gpt2")
    text = (test_data_dir / "text" / "grimm" / "tales.txt").read_text()[:200_000]
    texts = [text[i : i + 10_000] for i in range(0, len(text), 10_000)] + hostile_texts
    assert gpt2.encode_tf(as_bytes(texts)).to_list() == [gpt2.encode(each) for each in texts]
