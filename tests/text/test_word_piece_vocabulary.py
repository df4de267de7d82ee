"""WordPiece within tf.data: the ids of the tokenizer, and positions that can be saved."""

import pickle

import pytest
import seqio
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from t5x_lite.data.unsaveable import stateful_operation
from t5x_lite.text import characters
from t5x_lite.text.default_vocabulary import set_default_vocabulary
from t5x_lite.text.seqio_vocabulary import DefaultVocabulary, padding_of
from t5x_lite.text.word_piece import WordPieceTokenizer, WordRules, word_splitter
from t5x_lite.text.word_piece_vocabulary import WordPieceVocabulary, words


def write(folder, tokenizer):
    for name, content in tokenizer.files().items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="module", params=[False, True], ids=["uncased", "cased"])
def vocabulary(request, word_pieces, tmp_path_factory):
    return WordPieceVocabulary(
        write(tmp_path_factory.mktemp("words"), word_pieces(cased=request.param))
    )


@pytest.fixture(scope="module")
def encode_tf(vocabulary):
    """Traced once, as within tf.data."""
    return tf.function(vocabulary.encode_tf, input_signature=[tf.TensorSpec([None], tf.string)])


def as_bytes(texts):
    return tf.constant([text.encode(errors="surrogateescape") for text in texts])


def test_hostile_texts_have_the_tokenizers_ids(vocabulary, hostile_words):
    """All at once, and each by itself, as SeqIO tokenizes: empty ones, and what is no UTF-8."""
    expected = [vocabulary.encode(text) for text in hostile_words]
    texts = as_bytes(hostile_words)
    together = vocabulary.encode_tf(texts)
    assert together.dtype == tf.int32 and together.to_list() == expected
    for text, ids in zip(texts, expected, strict=True):
        assert vocabulary.encode_tf(text).numpy().tolist() == ids


@given(data=st.data())
@settings(deadline=None, max_examples=100)
def test_any_texts(vocabulary, any_text, encode_tf, data):
    """A batch at a time, bytes that are no UTF-8 among them."""
    any_character = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
    drawn = data.draw(st.lists(st.one_of(any_text, any_character), min_size=1, max_size=8))
    assert encode_tf(as_bytes(drawn)).to_list() == [vocabulary.encode(text) for text in drawn]


@pytest.mark.parametrize("rules", [WordRules(), WordRules(lower_case=False, split_chinese=False)])
def test_every_character_becomes_what_the_library_makes_of_it(rules):
    """Beside a letter and a mark: of all there are, and of some that are none."""
    codes = [i for i in range(0x3_2000) if not 0xD800 <= i < 0xE000]
    codes += [0x3_FFFF, 0x4_0000, 0x7_FFFE, 0xD_FFFF, 0xE_0001, 0xE_0100, 0xE_0FFF, 0xE_1000]
    codes += [0xE_FFFF, 0xF_0000, 0xF_1234, 0xF_FFFE, 0xF_FFFF, 0x10_0000, 0x10_FFFD, 0x10_FFFF]
    text = "".join(f"a{chr(i)}b!{chr(i)}" for i in codes)
    normal = rules.normalizer().normalize_str(text)
    expected = [word for word, _ in word_splitter().pre_tokenize_str(normal)]
    table = characters.rewriting(rules.normalizer().normalize_str)
    each = words(characters.rewrite(characters.decode_utf8(tf.constant([text])), table))
    found = tf.strings.unicode_encode(each.values, "UTF-8").numpy()
    assert [word.decode() for word in found] == expected


def test_no_text_at_all(vocabulary):
    """An empty batch, as the rest of a data set may be, and texts without a word."""
    assert vocabulary.encode_tf(tf.constant([], tf.string)).to_list() == []
    assert vocabulary.encode_tf(tf.constant(["", " \u200b", ""])).to_list() == [[], [], []]
    assert vocabulary.decode_tf(tf.constant([[]], tf.int32)).numpy().tolist() == [b""]


def test_a_text_keeps_its_place_in_rows_of_texts(vocabulary):
    """Choices of a question are rows of texts, of one length or of several."""
    rows = [["the cat", "  12's"], ["", "sat"]]
    expected = [[vocabulary.encode(text) for text in row] for row in rows]
    assert vocabulary.encode_tf(tf.constant(rows)).to_list() == expected
    assert vocabulary.encode_tf(tf.ragged.constant(rows)).to_list() == expected


def test_ids_become_the_tokenizers_text(vocabulary):
    """Up to the first end; special ids are no text, a piece that continues nothing is itself."""
    tokenizer = vocabulary.tokenizer
    more = tokenizer.pieces["##a"]
    rows = [[2, *tokenizer.encode("the cats. 12's"), 4, 1, 0, 3, 9], [0, more, 4, 9, 700, -1, more]]
    rows = [row + [0] * (24 - len(row)) for row in rows]
    expected = [tokenizer.decode(row) for row in rows]
    assert [t.decode() for t in vocabulary.decode_tf(tf.constant(rows)).numpy()] == expected
    assert expected[0].startswith("the cats.") and "##" in expected[1]
    assert vocabulary.decode(rows[0]) == expected[0]


def test_what_seqio_asks_of_a_vocabulary(vocabulary, word_pieces, tmp_path):
    """Sizes and special ids; features with it are compared, hashed and copied."""
    assert vocabulary.vocab_size == word_pieces(cased=False).num_ids
    assert (vocabulary.bos_id, vocabulary.eos_id, vocabulary.unk_id) == (2, 3, 1)
    assert (padding_of(vocabulary), vocabulary.extra_ids) == (0, 0)
    again = pickle.loads(pickle.dumps(vocabulary))
    assert again == vocabulary and hash(again) == hash(vocabulary)
    assert again.encode("The cat") == vocabulary.encode("The cat")
    set_default_vocabulary(vocabulary.path)
    assert DefaultVocabulary().resolved() == vocabulary
    assert DefaultVocabulary().encode("The cat") == vocabulary.encode("The cat")
    assert WordPieceVocabulary(write(tmp_path, word_pieces(cased=False))) != vocabulary


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
def test_the_published_vocabulary_on_real_text(test_data_dir, hostile_words, tmp_path):
    """BERT's ids for tales, whole documents at once, and for hostile texts."""
    path = test_data_dir / "vocab" / "bert_uncased_vocab.txt"
    text = (test_data_dir / "text" / "grimm" / "tales.txt").read_text()[:200_000]
    texts = [text[i : i + 10_000] for i in range(0, len(text), 10_000)] + hostile_words
    uncased = WordPieceVocabulary(path)
    pieces, special = uncased.tokenizer.pieces, uncased.tokenizer.special
    rules = WordRules(lower_case=False, strip_accents=False)
    cased = WordPieceVocabulary(write(tmp_path, WordPieceTokenizer(pieces, special, rules)))
    for bert in (uncased, cased):
        assert bert.encode_tf(as_bytes(texts)).to_list() == [bert.encode(each) for each in texts]
