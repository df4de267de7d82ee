"""The process's vocabulary: what is missing is said together with the flag that gives it."""

import pytest

from t5x_lite.text import default_vocabulary
from t5x_lite.text.special_ids import check_special_ids, model_vocab_size


@pytest.mark.parametrize(
    "pieces, size", [(32_000, 32_128), (3_996, 4_096), (3_997, 4_224), (250_000, 250_112)]
)
def test_a_model_has_room_for_the_sentinels_in_multiples_of_128(pieces, size):
    """T5's 32,000 pieces make 32,128 rows, mT5's 250,000 make 250,112."""
    assert model_vocab_size(pieces) == size


def test_without_a_vocabulary_the_error_names_the_flag():
    """Tasks register without one, so its absence shows when the first text is tokenized."""
    with pytest.raises(ValueError, match=r"--gin\.VOCABULARY="):
        default_vocabulary.default_vocabulary_path()


def test_a_path_that_does_not_exist_is_named(tmp_path):
    """SentencePiece's own message is a line number in C++."""
    default_vocabulary.set_default_vocabulary(tmp_path / "absent.model")
    with pytest.raises(ValueError, match=r"absent\.model does not exist.*--gin\.VOCABULARY="):
        default_vocabulary.default_vocabulary_path()


def test_other_special_ids_than_t5_s_are_refused():
    """SentencePiece's defaults (unknown 0, start 1, end 2) would train without any error."""
    with pytest.raises(ValueError, match="pad_id=-1, eos_id=2, unk_id=0; needed are 0, 1, 2"):
        check_special_ids(pad_id=-1, eos_id=2, unk_id=0, source="x.model")
