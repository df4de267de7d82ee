"""Special ids of a model and its vocabulary are the same, as far as the model depends on them."""

import pytest

from t5x_lite.errors import UserError
from t5x_lite.features.config import SpecialTokens, check_special

MODEL = SpecialTokens(padding=0, start=4, end=5, unknown=1)


def test_a_vocabulary_with_other_ids_is_refused():
    """With both, and what the model is told to have them."""
    other = SpecialTokens(padding=0, start=6, end=7, unknown=1)
    with pytest.raises(UserError, match=r"start=4, end=5, the vocabulary it start=6, end=7"):
        check_special(MODEL, other, "it")
    with pytest.raises(UserError, match="--gin.SpecialTokens.start=6 --gin.SpecialTokens.end=7"):
        check_special(MODEL, other, "it")


def test_what_the_model_does_not_depend_on_may_differ():
    """Masks are a matter of data; of the others only an encoder by itself knows nothing."""
    check_special(MODEL, SpecialTokens(padding=0, start=4, end=5, unknown=1, mask=9), "it")
    check_special(MODEL, SpecialTokens(padding=0, start=6, mask=9), "it", ["padding"])
    with pytest.raises(UserError, match="padding=0, the vocabulary it padding=1"):
        check_special(MODEL, SpecialTokens(padding=1), "it", ["padding"])


def test_an_id_is_a_number_that_a_vocabulary_can_have():
    with pytest.raises(UserError, match="mask=-1"):
        SpecialTokens(mask=-1)
