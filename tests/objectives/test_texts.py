"""What an encoder reads at once of texts that are to be classified, and of questions."""

import numpy as np
import pytest
import seqio
import tensorflow as tf
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from t5x_lite.features.config import SpecialTokens
from t5x_lite.objectives import spans, texts
from t5x_lite.text.template import START_AND_END, START_LAST
from t5x_lite.text.word_piece import WordPieceTokenizer, WordRules
from t5x_lite.text.word_piece_vocabulary import WordPieceVocabulary

PIECES = "[PAD] [UNK] [CLS] [SEP] the black cat sat on a red mat who ? ##s , . 9".split()
SPECIAL = SpecialTokens(padding=0, unknown=1, start=2, end=3)
ID = {piece: i for i, piece in enumerate(PIECES)}


@pytest.fixture(scope="module", params=[START_AND_END, START_LAST], ids=["first", "last"])
def features(request, tmp_path_factory):
    """Features of a task, with a vocabulary of 18 pieces."""
    folder = tmp_path_factory.mktemp("pieces")
    tokenizer = WordPieceTokenizer(ID, SPECIAL, WordRules(), request.param)
    for name, content in tokenizer.files().items():
        (folder / name).write_bytes(content)
    return {"inputs": seqio.Feature(WordPieceVocabulary(folder), add_eos=False)}


def framed(steps, example, features, length):
    """The example behind both preprocessors."""
    tensors = {name: tf.constant(each) for name, each in example.items()}
    dataset = tf.data.Dataset.from_tensors(tensors)
    lengths = None if length is None else {"inputs": length}
    dataset = steps.frame(steps.tokenize(dataset, features), lengths, features)
    (found,) = dataset.as_numpy_iterator()
    return found


def pieces(ids):
    """Their names."""
    return " ".join(PIECES[i] for i in ids)


@pytest.mark.parametrize("second", [None, "on a red mat"])
@pytest.mark.parametrize("length", [None, 6, 9])
def test_texts_are_framed_as_their_tokenizer_frames_them(second, length, features):
    """With what fits of them; the text itself stays to be read by people."""
    example = {"first": "The cats sat"} | ({} if second is None else {"second": second})
    found = framed(texts, example, features, length)
    tokenizer = features["inputs"].vocabulary.tokenizer
    ids = [tokenizer.encode(text) for text in example.values()]
    room = 99 if length is None else length - (2 if second is None else 3)
    kept = [min(4, room)] if second is None else shares(4, 4, room)
    expected = tokenizer.template.frame(SPECIAL, *(own[:n] for own, n in zip(ids, kept)))
    assert found["inputs"].tolist() == expected.ids
    assert found["token_types"].tolist() == expected.token_types
    assert found["inputs_pretokenized"].decode() == " ".join(example.values())
    assert "first" not in found


def shares(first, second, capacity):
    """How `tokenizers` cuts a pair."""
    words = {"a": 0, "b": 1, "[UNK]": 2}
    tokenizer = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    tokenizer.enable_truncation(capacity, strategy="longest_first")
    ids = tokenizer.encode(["a"] * first, ["b"] * second, is_pretokenized=True).ids
    return [ids.count(0), ids.count(1)]


def test_what_does_not_fit_is_cut_from_the_longer_text():
    """As `tokenizers` does, for every pair of lengths."""
    for first in range(1, 8):
        for second in range(1, 8):
            for capacity in range(2, 15):
                found = texts.longest_first(*map(tf.constant, (first, second, capacity)))
                expected = shares(first, second, capacity)
                assert [int(n) for n in found] == expected, (first, second, capacity)


def test_an_answer_is_found_by_its_words(features):
    """Positions in inputs, of whole words of several pieces; a question is not cut for the text."""
    words = ["the", "cats", "sat", ",", "black"]
    example = {"question": "who sat?", "words": words, "answer": [1, 2]}
    found = framed(spans, example, features, 20)
    first, last = map(int, found["spans"])
    assert pieces(found["inputs"][first : last + 1]) == "cat ##s sat"
    assert spans.words_between({**found, **example}, first, last) == "cats sat"
    text = [place for place in found["word_places"] if place >= 0]
    assert text == [0, 1, 1, 2, 3, 4]
    # Of an answer that is cut off, or is none, there is no place.
    room = len(found["inputs"]) - 3
    cut = framed(spans, example, features, room)
    assert cut["inputs"].size == room and cut["spans"].tolist() == [-1, -1]
    assert pieces(cut["inputs"]).count("who sat ?") == 1
    nothing = framed(spans, {**example, "answer": [-1, -1]}, features, 20)
    assert nothing["spans"].tolist() == [-1, -1]
    assert spans.words_between({**nothing, **example}, -1, -1) == ""


def test_the_best_span_is_the_best_of_all_pairs():
    """Of words of the text, the last not before the first and 30 tokens at most."""
    rng = np.random.default_rng(0)
    for length in (6, 45):
        scores = rng.normal(size=(length, 2)).astype(np.float32)
        scores[:2] = 50  # a question is no answer
        places = np.array([-1, -1, *range(length - 3), -1])
        example = {"word_places": places}
        first, last = spans.best(scores, example)
        pairs = [
            (scores[i, 0] + scores[j, 1], i, j)
            for i in range(2, length - 1)
            for j in range(i, min(i + 30, length - 1))
        ]
        assert (first, last) == max(pairs)[1:]


def test_lengths_and_vocabularies_that_cannot_be_are_refused(features):
    """In one sentence each."""
    example = {"first": "the cat", "second": "sat"}
    with pytest.raises(ValueError, match="no room for 2 texts and the 3 tokens around them"):
        framed(texts, example, features, 4)
    bytes_only = {"inputs": seqio.Feature(seqio.ByteVocabulary(), add_eos=False)}
    with pytest.raises(ValueError, match="has no template of what stands around a text"):
        framed(texts, example, bytes_only, 20)
