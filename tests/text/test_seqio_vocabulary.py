"""The default vocabulary in SeqIO: lazy, equal everywhere, sentinels at the end."""

import pytest
import sentencepiece
import seqio
import tensorflow as tf

from t5x_lite.text.byte_tokenizer import ByteTokenizer
from t5x_lite.text.default_vocabulary import set_default_vocabulary
from t5x_lite.text.huggingface_files import huggingface_files
from t5x_lite.text.sentencepiece_tokenizer import SentencePieceTokenizer
from t5x_lite.text.seqio_vocabulary import DefaultVocabulary, padding_of


def test_it_is_made_without_a_path_and_resolved_when_used(vocabulary_path):
    """Importing a task module must not need a vocabulary."""
    vocabulary = DefaultVocabulary()
    feature = seqio.Feature(vocabulary=vocabulary, add_eos=True)
    with pytest.raises(ValueError, match="VOCABULARY"):
        vocabulary.encode("the cat")
    set_default_vocabulary(vocabulary_path)
    assert feature.vocabulary.decode(vocabulary.encode("the cat")) == "the cat"


def test_a_new_default_is_taken_up(vocabulary_path, tmp_path, sentences):
    """A notebook may train a vocabulary and then use it with tasks that used another."""
    from t5x_lite.text.training import train_sentencepiece

    vocabulary = DefaultVocabulary()
    set_default_vocabulary(vocabulary_path)
    assert vocabulary.vocab_size == 160
    other = tmp_path / "other.model"
    train_sentencepiece({"w": sentences}, other, vocab_size=50, report_progress=lambda _: None)
    set_default_vocabulary(other)
    assert vocabulary.vocab_size == 150


def test_all_of_them_are_equal():
    """A mixture demands the same vocabulary of all its tasks."""
    assert DefaultVocabulary() == DefaultVocabulary()
    assert len({DefaultVocabulary(), DefaultVocabulary()}) == 1
    assert DefaultVocabulary() != seqio.ByteVocabulary(extra_ids=100)


def test_sentinels_are_the_last_ids_in_reverse(vocabulary_path):
    """60 pieces: <extra_id_0> is 159, <extra_id_99> is 60, and they survive decoding."""
    set_default_vocabulary(vocabulary_path)
    vocabulary = DefaultVocabulary()
    ids = vocabulary.encode("<extra_id_0> cat <extra_id_1> mat <extra_id_99>")
    assert (ids[0], vocabulary.vocab_size, ids[-1]) == (159, 160, 60)
    assert 158 in ids
    assert "<extra_id_0>" in vocabulary.decode(ids) and "<extra_id_1>" in vocabulary.decode(ids)


def test_tensorflow_and_python_give_the_same_ids(vocabulary_path):
    """Tasks tokenize in TensorFlow, everything else in Python."""
    set_default_vocabulary(vocabulary_path)
    vocabulary = DefaultVocabulary()
    text = "translate English to German: the  cat sat on Q <extra_id_3>"
    assert vocabulary.encode_tf(tf.constant(text)).numpy().tolist() == vocabulary.encode(text)


def test_a_vocabulary_with_other_special_ids_is_refused(tmp_path, sentences):
    """A model that SentencePiece makes by default has no padding id."""
    path = tmp_path / "default.model"
    with path.open("wb") as file:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences), model_writer=file, vocab_size=60, minloglevel=2
        )
    set_default_vocabulary(path)
    with pytest.raises(ValueError, match="pad_id=-1, eos_id=2, unk_id=0"):
        DefaultVocabulary().encode("the cat")


def write(folder, files):
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("name", ["", "vocabulary.json", "vocab.json"])
def test_a_byte_level_bpe_is_the_default_as_well(name, byte_pair, tmp_path, hostile_texts):
    """Tasks work with GPT-2's vocabulary as they are: its ids, its end token, no sentinels."""
    set_default_vocabulary(write(tmp_path, byte_pair.files()) / name)
    vocabulary = DefaultVocabulary()
    assert (vocabulary.bos_id, vocabulary.eos_id, vocabulary.unk_id) == (399, 399, None)
    assert (vocabulary.vocab_size, vocabulary.extra_ids) == (400, 0)
    for text in hostile_texts:
        ids = byte_pair.encode(text)
        assert vocabulary.encode(text) == ids
        assert vocabulary.decode([*ids, 399, 0]) == byte_pair.decode(ids)
    texts = [text for text in hostile_texts if text.isprintable()]
    assert vocabulary.encode_tf(tf.constant(texts)).to_list() == [*map(byte_pair.encode, texts)]
    ids = tf.constant([*byte_pair.encode("cat!"), 399, 0, 0])
    assert vocabulary.decode_tf(ids).numpy() == b"cat!", '0 is no padding but "!"'


def test_of_a_directory_of_transformers_5_as_well(vocabulary_path, tmp_path):
    """Its tokenizer.json has no file that SeqIO would read, and says how many sentinels it has."""
    ours = SentencePieceTokenizer(vocabulary_path.read_bytes(), 7)
    files = huggingface_files(ours)
    write(tmp_path, {"tokenizer.json": files["tokenizer.json"]})
    vocabulary = DefaultVocabulary()
    for path in (tmp_path, tmp_path / "tokenizer.json"):
        set_default_vocabulary(path)
        assert (vocabulary.vocab_size, vocabulary.extra_ids) == (67, 7)
        text = "the <extra_id_0> cat <extra_id_6> \u2603"
        assert vocabulary.encode_tf(tf.constant(text)).numpy().tolist() == ours.encode(text)


def test_bytes_are_the_default_of_their_folder(tmp_path):
    set_default_vocabulary(write(tmp_path, ByteTokenizer(9).files()))
    assert DefaultVocabulary().vocab_size == 268
    assert DefaultVocabulary().encode("a") == [100]


def test_the_padding_id_is_text_where_a_piece_has_it(byte_pair, vocabulary_path, tmp_path):
    """What leaves padding out must not leave out "!"."""
    set_default_vocabulary(vocabulary_path)
    assert padding_of(DefaultVocabulary()) == padding_of(seqio.ByteVocabulary()) == 0
    set_default_vocabulary(write(tmp_path, byte_pair.files()))
    assert padding_of(DefaultVocabulary()) is None


@pytest.mark.test_data
def test_the_published_vocabulary_gives_t5_s_ids(test_data_dir):
    """The ids that data/README.md states for T5's own model, and its last sentinel."""
    set_default_vocabulary(test_data_dir / "vocab" / "t5_sentencepiece.model")
    vocabulary = DefaultVocabulary()
    ids = vocabulary.encode("translate English to German: That is good.")
    assert ids == [13959, 1566, 12, 2968, 10, 466, 19, 207, 5]
    assert vocabulary.encode("<extra_id_0>") == [32_099]
    assert vocabulary.vocab_size == 32_100
