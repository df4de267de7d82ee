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
    (found,) = all_framed(steps, example, features, length)
    return found


def all_framed(steps, example, features, length):
    """All that becomes of the example."""
    tensors = {name: tf.constant(each) for name, each in example.items()}
    dataset = tf.data.Dataset.from_tensors(tensors)
    lengths = None if length is None else {"inputs": length}
    dataset = steps.frame(steps.tokenize(dataset, features), lengths, features)
    return list(dataset.as_numpy_iterator())


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
    # Of an answer that is none there is no place.
    nothing = framed(spans, {**example, "answer": [-1, -1]}, features, 20)
    assert nothing["spans"].tolist() == [-1, -1]
    assert spans.words_between({**nothing, **example}, -1, -1) == ""


@pytest.mark.parametrize("length", [9, 10, 13, 17])
def test_a_text_that_does_not_fit_is_read_in_windows(features, length):
    """All of it, at most half of a window after one another; a window that has not all of the
    answer points at the start token.
    """
    words = "the cats sat , black cat on a red mat . 9 the cat".split()
    answer = [4, 5]
    example = {"question": "who sat?", "words": words, "answer": answer}
    (whole,) = all_framed(spans, example, features, None)
    text = whole["inputs"][whole["word_places"] >= 0]
    windows = all_framed(spans, example, features, length)
    room = length - 6  # around it are the question and three tokens
    begins = [int(window["window_begin"]) for window in windows]
    assert begins[0] == 0 and begins[-1] + room >= len(text) > begins[-2] + room
    assert {*np.diff(begins)} == {-(-room // 2)}
    has_answer = []
    for begin, window in zip(begins, windows, strict=True):
        is_text = window["word_places"] >= 0
        shown = text[begin : begin + room]
        np.testing.assert_array_equal(window["inputs"][is_text], shown)
        own = whole["word_places"][whole["word_places"] >= 0][begin : begin + room]
        np.testing.assert_array_equal(window["word_places"][is_text], own)
        assert pieces(window["inputs"]).count("who sat ?") == 1
        first, last = map(int, window["spans"])
        has_answer.append({*answer} <= {*own.tolist()})
        if has_answer[-1]:
            assert spans.words_between({**window, **example}, first, last) == "black cat"
        else:
            assert first == last and window["inputs"][first] == SPECIAL.start
    assert any(has_answer) and not all(has_answer)
    (question,) = spans.questions(windows)
    assert question["windows"] == windows
    unlabelled = all_framed(spans, {**example, "answer": [-1, -1]}, features, length)
    assert {tuple(window["spans"].tolist()) for window in unlabelled} == {(-1, -1)}
    assert len([*spans.questions([*windows, *unlabelled, whole])]) == 3


def test_windows_are_no_further_apart_than_those_of_the_released_code(features):
    example = {"question": "who", "words": ["cat"] * 700, "answer": [690, 699]}
    windows = all_framed(spans, example, features, 384)
    assert [int(window["window_begin"]) for window in windows] == [0, 128, 256, 384]
    assert [window["inputs"].size for window in windows] == [384, 384, 384, 320]


@pytest.mark.parametrize("begins", [[0], [0, 7, 14], [0, 3, 6, 9, 12]])
@pytest.mark.parametrize("room", [3, 42])
def test_the_best_span_is_the_best_of_all_pairs(begins, room):
    """Of words of the text, the last not before the first and 30 tokens at most; of a token that
    several windows show in the one with the most context of it.
    """
    rng = np.random.default_rng(0)
    size = begins[-1] + room
    windows, scores = [], []
    for begin in begins:
        shown = min(room, size - begin)
        windows.append(
            {
                "word_places": np.array([-1, -1, *range(begin, begin + shown), -1]),
                "window_begin": begin,
            }
        )
        own = rng.normal(size=(shown + 3, 2)).astype(np.float32)
        own[:2] = 50  # a question is no answer
        scores.append(own)

    def context(number, token):
        return min(token - begins[number], begins[number] + room - 1 - token)

    found = []
    for token in range(size):
        having = [n for n, begin in enumerate(begins) if begin <= token < begin + room]
        if having:
            number = max(having, key=lambda n: (context(n, token), -n))
            first = token - begins[number] + 2
            for last in range(first, min(first + 30, room + 2)):
                sums = scores[number][first, 0] + scores[number][last, 1]
                found.append((sums, number, first, last))
    assert spans.best(scores, windows) == max(found)[1:]


def test_lengths_and_vocabularies_that_cannot_be_are_refused(features):
    """In one sentence each."""
    example = {"first": "the cat", "second": "sat"}
    with pytest.raises(ValueError, match="no room for 2 texts and the 3 tokens around them"):
        framed(texts, example, features, 4)
    bytes_only = {"inputs": seqio.Feature(seqio.ByteVocabulary(), add_eos=False)}
    with pytest.raises(ValueError, match="has no template of what stands around a text"):
        framed(texts, example, bytes_only, 20)
