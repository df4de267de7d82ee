"""TensorFlow Text's faster tokenizer is taken where it gives SentencePiece's ids, only there."""

import io
import random

import pytest
import sentencepiece
import seqio
import tensorflow as tf

from t5x_lite.text.sentencepiece_vocabulary import SentencePieceVocabulary, is_fast

ALPHABETS = (
    "abcdefghij klmnop  \t\n",
    "😀🎉👩‍👩‍👧中文日本語",
    "éüßñ ́̈ﬁ①½",
    "\u200b\u200d\ufeff\u00a0\u3000",
    "<>_▁</s><pad>",
    "\x00\x01\x7f\x1b",
    "0123456789.,;:!?-",
)


def hostile_texts(sentences, count: int) -> list[bytes]:
    """Of all that text may be, bytes that are none included."""
    dice = random.Random(0)
    texts = []
    for number in range(count):
        text = "".join(dice.choice(dice.choice(ALPHABETS)) for _ in range(dice.randrange(40)))
        if number % 3 == 0:
            text = f"{dice.choice(sentences)} <extra_id_{number % 120}>{text}"
        bad = bytes(dice.randrange(256) for _ in range(20)) if number % 11 == 0 else b""
        texts.append(text.encode() + bad)
    return texts


def trained(folder, sentences, **kind) -> str:
    """A small model of a kind."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=model,
        vocab_size=300,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=3,
        **kind,
    )
    path = folder / "spiece.model"
    path.write_bytes(model.getvalue())
    return str(path)


@pytest.mark.parametrize(
    ("kind", "fast"),
    [
        ({}, True),
        ({"normalization_rule_name": "nmt_nfkc_cf"}, True),
        ({"remove_extra_whitespaces": False}, True),
        ({"user_defined_symbols": ["[X]", "ab"], "split_digits": True}, True),
        ({"byte_fallback": True}, False),
        ({"model_type": "bpe"}, False),
        ({"model_type": "word"}, False),
        ({"treat_whitespace_as_suffix": True}, False),
        ({"add_dummy_prefix": False}, False),
        ({"split_by_whitespace": False}, False),
        ({"normalization_rule_name": "identity"}, False),
    ],
)
def test_ids_are_those_of_seqio(kind, fast, tmp_path, sentences):
    """Whatever a model is like, and on texts that are none."""
    path = trained(tmp_path, sentences, **kind)
    theirs, ours = (kind(path, extra_ids=100) for kind in KINDS)
    texts = tf.constant(hostile_texts(sentences, 300))
    assert is_fast(ours.sp_model) is fast
    assert ours.encode_tf(texts).to_list() == theirs.encode_tf(texts).to_list()
    assert ours == theirs
    dataset = tf.data.Dataset.from_tensor_slices(texts)
    one_by_one = [ids.tolist() for ids in dataset.map(ours.encode_tf).as_numpy_iterator()]
    at_once = dataset.batch(7).map(ours.encode_tf).unbatch()
    assert one_by_one == [ids.tolist() for ids in at_once.as_numpy_iterator()]


KINDS = (seqio.SentencePieceVocabulary, SentencePieceVocabulary)


@pytest.mark.test_data
def test_ids_of_t5_are_those_of_seqio(test_data_dir, sentences):
    """Its vocabulary is of the fast kind, and pieces are many."""
    path = str(test_data_dir / "vocab" / "t5_sentencepiece.model")
    theirs, ours = (kind(path, extra_ids=100) for kind in KINDS)
    texts = tf.constant(hostile_texts(sentences, 2000))
    assert is_fast(ours.sp_model)
    assert ours.encode_tf(texts).to_list() == theirs.encode_tf(texts).to_list()
    assert ours.encode_tf(texts[3]).numpy().tolist() == theirs.encode_tf(texts[3]).numpy().tolist()
    assert ours.encode_tf("or----jug").numpy().tolist() == ours.encode("or----jug")
