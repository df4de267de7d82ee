"""Byte-level BPE with an encoder's special tokens, RoBERTa's: folders, JSON, masks in a text."""

import json

import pytest
import tensorflow as tf
import tokenizers

from t5x_lite.errors import UserError
from t5x_lite.features.config import SpecialTokens
from t5x_lite.text.byte_pair import BytePairTokenizer
from t5x_lite.text.byte_pair_vocabulary import BytePairVocabulary
from t5x_lite.text.huggingface_files import huggingface_files
from t5x_lite.text.masked_text import encode_masked
from t5x_lite.text.seqio_vocabulary import padding_of
from t5x_lite.text.template import START_AND_END, TWO_ENDS
from t5x_lite.text.tokenizer import load_tokenizer

SPECIAL = SpecialTokens(padding=1, start=0, end=2, unknown=None, mask=404)


@pytest.fixture(scope="module")
def roberta(byte_pair):
    """Special tokens first, the mask last, as in RoBERTa's files."""
    texts = [piece for piece in byte_pair.pieces if piece != "<|endoftext|>"]
    names = ["<s>", "<pad>", "</s>", "<unk>", *texts, "never", "<mask>"]
    pieces = {name: i for i, name in enumerate(names)}
    return BytePairTokenizer(pieces, byte_pair.merges, SPECIAL, template=TWO_ENDS)


def write(folder, files):
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("names", [["tokenizer.json"], ["vocab.json", "merges.txt"], None])
def test_of_any_age_it_is_the_same(roberta, byte_pair, names, tmp_path, hostile_texts):
    """What stands around texts included; the ids of text are those of the BPE, four higher."""
    files = huggingface_files(roberta) if names else roberta.files()
    again = load_tokenizer(write(tmp_path, {n: files[n] for n in names or files}))
    assert (again.special, again.template) == (SPECIAL, TWO_ENDS)
    assert again.files() == roberta.files()
    for text in hostile_texts:
        assert again.encode(text) == [i + 4 for i in byte_pair.encode(text)]
        assert again.decode([0, *again.encode(text), 2, 1]) == byte_pair.decode(
            byte_pair.encode(text)
        )


def test_the_library_reads_our_json(roberta, hostile_texts):
    """Texts, pairs and masks, which take the blank before them."""
    theirs = tokenizers.Tokenizer.from_str(huggingface_files(roberta)["tokenizer.json"].decode())
    assert theirs.get_vocab() == roberta.pieces
    for text in hostile_texts[:-1]:
        if "<" not in text:
            ids = roberta.encode(text)
            assert theirs.encode(text).ids == roberta.template.frame(SPECIAL, ids).ids
            pair = theirs.encode(text, "cat")
            framed = roberta.template.frame(SPECIAL, ids, roberta.encode("cat"))
            assert (pair.ids, pair.type_ids) == framed
    for text in ("the <mask> sat", "<mask><mask>", " a  <mask>.", "cat<mask> s", "<mask>", "the"):
        assert theirs.encode(text, add_special_tokens=False).ids == encode_masked(roberta, text)


def test_a_template_of_another_kind_is_kept(roberta, tmp_path):
    """What a post_processor says, not what RoBERTa has."""
    values = json.loads(huggingface_files(roberta)["tokenizer.json"])
    for older, template in (
        ({"type": "RobertaProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0]}, TWO_ENDS),
        ({"type": "BertProcessing", "sep": ["</s>", 2], "cls": ["<s>", 0]}, START_AND_END),
        (None, TWO_ENDS),
    ):
        (tmp_path / "tokenizer.json").write_text(json.dumps(values | {"post_processor": older}))
        again = load_tokenizer(tmp_path)
        assert again.template == template
        assert load_tokenizer(write(tmp_path, again.files())).template == template
        (tmp_path / "vocabulary.json").unlink()


def test_padding_is_no_text_here(roberta, byte_pair, tmp_path):
    """GPT-2's is, which has one id for everything."""
    vocabulary = BytePairVocabulary(write(tmp_path, roberta.files()))
    assert (padding_of(vocabulary), vocabulary.eos_id, vocabulary.unk_id) == (1, 2, None)
    assert vocabulary.encode_tf(tf.constant("the cat's")).numpy().tolist() == roberta.encode(
        "the cat's"
    )
    assert padding_of(BytePairVocabulary(write(tmp_path, byte_pair.files()))) is None


def test_masks_are_an_encoders(word_pieces, byte_pair):
    """By the vocabulary's own name; in all other text nothing is a special token."""
    bert = word_pieces(cased=False)
    the, cat = bert.pieces["the"], bert.pieces["cat"]
    assert encode_masked(bert, "The [MASK] cat [MASK]") == [the, 4, cat, 4]
    assert 3 not in encode_masked(bert, "[SEP] [mask]")
    with pytest.raises(UserError, match="the vocabulary has no mask"):
        encode_masked(byte_pair, "the <mask>")
