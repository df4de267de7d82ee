"""A trained vocabulary: T5's special ids, the same file every time, an honest report."""

import pytest
import sentencepiece

from t5x_lite.text.training import train_sentencepiece
from t5x_lite.text.training_lines import file_texts


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
    assert (report.checked_lines, report.lossless_lines) == (2000, 1999)
    assert report.lost_characters == "\u2603"
    assert 0 < report.unknown_fraction < 1e-3
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


def test_files_are_found_by_pattern(tmp_path):
    """In the order of their names; a pattern without a match is an error."""
    (tmp_path / "b.txt").write_text("two\n")
    (tmp_path / "a.txt").write_text("one\n")
    assert [t.strip() for t in file_texts([str(tmp_path / "*.txt")])] == ["one", "two"]
    with pytest.raises(ValueError, match=r"No file matches .*\.csv"):
        list(file_texts([str(tmp_path / "*.csv")]))
