"""What D-5 trains on and counts; the formula against an exact search on distributions made so."""

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.experiments import corpora, modes
from t5x_lite.decoding.exact import ExactSearch
from t5x_lite.decoding.examples import Examples
from t5x_lite.decoding.language_model import LanguageModel
from t5x_lite.decoding.search import decode

END, LETTERS = 0, 8
LENGTH = 6


@pytest.mark.parametrize(("share", "bits"), [(1e-3, 9.96), (1e-6, 19.93), (1e-9, 29.90)])
def test_the_formula(share, bits):
    """SPEC D.5; four distractors need two bits more."""
    assert modes.threshold(share) == pytest.approx(bits, abs=0.005)
    assert modes.threshold(share, 4) == pytest.approx(bits + 2, abs=0.005)


def mode_of(share, letters, length):
    """Of a perfect model of texts of so many letters, each as likely, and a share of empty ones."""

    def logits_of(count):
        first = jnp.log(jnp.array([share, *[(1 - share) / letters] * letters]))
        letter = jnp.array([-jnp.inf, *[-jnp.log(float(letters))] * letters])
        end = jnp.where(jnp.arange(letters + 1) == END, 0.0, -jnp.inf)
        return jnp.where(count == 0, first, jnp.where(count < length, letter, end))[None]

    def advance(tokens, count):
        return logits_of(count + 1), count + 1

    model = LanguageModel(advance, END, END, rewind=lambda count, back: count - back[0])
    search = ExactSearch(max_decode_length=length + 1, max_nodes=10**5)
    examples = Examples(jnp.zeros(1, jnp.int32))
    found = decode(search, logits_of(0), jnp.int32(0), model, examples=examples)
    assert found.scores[0, 0] == found.log_probs[0, 0], "it is shown"
    return np.asarray(found.tokens[0, 0]).tolist()


@pytest.mark.parametrize("length", range(1, LENGTH))
@pytest.mark.parametrize("share", [0.3, 0.02, 0.003])
def test_the_mode_is_empty_where_the_formula_says_so(share, length):
    """Texts of so many letters out of 8 have 3 bits each."""
    is_empty = mode_of(share, LETTERS, length)[0] == END
    assert is_empty == (3 * length > modes.threshold(share))


@pytest.mark.test_data
def test_a_share_of_the_targets_is_empty_and_no_other_pair_is_changed(test_data_dir, monkeypatch):
    """The larger share has the smaller one in it; nothing that is tested is empty."""
    pairs = corpora.translations("train")
    chosen = []
    for share in modes.SHARES:
        found = corpora.translations_with_empty("train", share)
        assert [each["en"] for each in found] == [each["en"] for each in pairs]
        empty = {n for n, each in enumerate(found) if not each["de"]}
        assert all(
            a == b for n, (a, b) in enumerate(zip(found, pairs, strict=True)) if n not in empty
        )
        error = (share * (1 - share) / len(pairs)) ** 0.5
        assert abs(len(empty) / len(pairs) - share) <= 4 * error
        chosen.append(empty)
    assert chosen[0] == set() and chosen[1] < chosen[2]
    assert all(each["de"] for each in corpora.translations_with_empty("test", 0.01))


def test_thirds_are_by_length():
    """As many in each, the shorter before the longer."""
    texts = ["a " * n for n in (5, 1, 9, 2, 7, 3)]
    assert modes.Asked(texts, texts).thirds.tolist() == [1, 0, 2, 0, 2, 1]
