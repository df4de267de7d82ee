"""The default vocabulary in SeqIO: lazy, equal everywhere, sentinels at the end."""

import pytest
import sentencepiece
import seqio
import tensorflow as tf

from t5x_lite.text.default_vocabulary import set_default_vocabulary
from t5x_lite.text.seqio_vocabulary import DefaultVocabulary


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


@pytest.mark.test_data
def test_the_published_vocabulary_gives_t5_s_ids(test_data_dir):
    """The ids that data/README.md states for T5's own model, and its last sentinel."""
    set_default_vocabulary(test_data_dir / "vocab" / "t5_sentencepiece.model")
    vocabulary = DefaultVocabulary()
    ids = vocabulary.encode("translate English to German: That is good.")
    assert ids == [13959, 1566, 12, 2968, 10, 466, 19, 207, 5]
    assert vocabulary.encode("<extra_id_0>") == [32_099]
    assert vocabulary.vocab_size == 32_100
