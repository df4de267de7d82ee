"""A trained vocabulary: T5's special ids, the same file every time, an honest report."""

import pytest
import sentencepiece

from t5x_lite.text.sentencepiece_tokenizer import SentencePieceTokenizer
from t5x_lite.text.training import train_sentencepiece


def train(sources, path, **kwargs):
    kwargs = {"vocab_size": 60, "report_progress": lambda _: None} | kwargs
    return train_sentencepiece(sources, path, **kwargs)


def test_special_ids_are_t5_s(vocabulary_path):
    """Padding 0, end 1, unknown 2, no start."""
    processor = sentencepiece.SentencePieceProcessor(model_file=str(vocabulary_path))
    ids = (processor.pad_id(), processor.eos_id(), processor.unk_id(), processor.bos_id())
    assert ids == (0, 1, 2, -1)
    assert processor.get_piece_size() == 60


def test_the_same_text_gives_the_same_file(tmp_path, sentences):
    """Also where lines are sampled: a vocabulary must be reproducible from its command."""
    models = []
    for name in ("a.model", "b.model"):
        train({"words": sentences}, tmp_path / name, max_lines_per_source=150)
        models.append((tmp_path / name).read_bytes())
    assert models[0] == models[1]


def test_each_source_is_limited_by_itself(tmp_path, sentences):
    """A large corpus must not drown a small one."""
    report = train(
        {"large": sentences, "small": sentences[:20]},
        tmp_path / "v.model",
        max_lines_per_source=100,
    )
    assert report.lines_per_source == {"large": 100, "small": 20}


def test_a_small_source_keeps_its_characters(tmp_path, sentences):
    """One character in 20,000 of all the text, but one in 40 of the small source's."""
    small = ["une \u00eele et une \u00eele"] * 3
    train({"large": sentences * 20, "small": small}, tmp_path / "v.model", vocab_size=70)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "v.model"))
    assert processor.decode(processor.encode(small[0])) == small[0]


def test_the_report_counts_what_is_lost(tmp_path, sentences):
    """One line in 200 has a character too rare to get a piece."""
    lines = (sentences * 10)[:1999] + ["the cat \u2603"]
    report = train({"words": lines}, tmp_path / "v.model")
    assert (report.whole.lines, report.whole.lossless_lines) == (2000, 1999)
    assert report.whole.lost_characters == "\u2603"
    assert 0 < report.whole.unknown_fraction < 1e-3
    assert "vocab_size is 256" in str(report)


def test_text_with_several_long_lines_is_used_whole(tmp_path, sentences):
    """SentencePiece leaves out what is longer than its limit; here it is cut instead."""
    report = train({"one text": ["\n".join(sentences), " ".join(sentences)]}, tmp_path / "v.model")
    characters = sum(map(len, sentences))
    assert report.lines_per_source["one text"] == len(sentences) + -(-characters // 4000)


def test_a_size_the_text_cannot_give_says_so(tmp_path):
    """SentencePiece's own message stays part of it."""
    with pytest.raises(ValueError, match="cannot make 5000 pieces of 1 lines(?s:.*)fewer pieces"):
        train({"words": ["the cat"]}, tmp_path / "v.model", vocab_size=5000)


def test_no_text_is_an_error(tmp_path):
    """An empty file or split, by name."""
    with pytest.raises(ValueError, match="No text .*nothing"):
        train({"nothing": []}, tmp_path / "v.model")


def test_sources_are_mixed_by_weight(tmp_path, sentences):
    """Ten lines of the one for each of the other, though there are only 20 and 9."""
    report = train(
        {"much": sentences[:20], "little": sentences[20:29]},
        tmp_path / "v.model",
        vocab_size=50,
        weights=(10, 1),
    )
    assert report.lines_per_source == {"much": 20, "little": 2}
    report = train(
        {"much": sentences[:20], "little": sentences[20:29]},
        tmp_path / "v.model",
        vocab_size=50,
        weights=(1, 3),
    )
    assert report.lines_per_source == {"much": 3, "little": 9}
    with pytest.raises(ValueError, match="1 weights for 2 sources .*--weights=10,1"):
        train({"a": sentences, "b": sentences}, tmp_path / "v.model", weights=(1,))


def test_with_bytes_nothing_is_unknown(tmp_path, sentences):
    """In Python and within tf.data; the sources' own lines are shorter than those of others."""
    import seqio

    path = tmp_path / "v.model"
    report = train({"words": sentences}, path, vocab_size=340, byte_fallback=True)
    assert report.whole.unknown_fraction == 0
    tokenizer = SentencePieceTokenizer(path.read_bytes(), extra_ids=0, source=path)
    text = "a snowman \u2603, and \U0001f600"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert 2 not in tokenizer.encode(text)
    vocabulary = seqio.SentencePieceVocabulary(str(path), extra_ids=0)
    assert vocabulary.encode_tf(text).numpy().tolist() == tokenizer.encode(text)


def test_each_source_is_reported_by_itself(tmp_path, sentences):
    """What the whole does not show: all that is lost is of one of them."""
    rare = sentences[:300] + ["\u2603 once"]
    report = train(
        {"plain": sentences, "rare": rare}, tmp_path / "v.model", max_lines_per_source=400
    )
    assert report.sources["plain"].kept_fraction == 1
    assert report.sources["plain"].pieces_per_word >= 1
    assert (report.sources["rare"].lost_characters == "\u2603") == (
        report.sources["rare"].kept_fraction < 1
    )
    shown = str(report)
    assert "plain: 100.0000 % of characters come back, lost none" in shown
