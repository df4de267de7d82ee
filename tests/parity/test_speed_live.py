"""What benchmarks/speed compares is alike: the model of our export is the same in every arm.

`make parity` installs torch, transformers and CTranslate2.
"""

import numpy as np
import pytest

pytestmark = [
    pytest.mark.parity,
    # transformers and CTranslate2 use what torch and Python deprecate; that is not ours to fix.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]
REASON = "is not installed: `make parity` installs the extra 'speed'"
for package in ("torch", "transformers", "ctranslate2"):
    pytest.importorskip(package, reason=f"{package} {REASON}")

from benchmarks.speed import models  # noqa: E402
from benchmarks.speed.arms import huggingface, ours, translator  # noqa: E402
from benchmarks.speed.settings import Settings  # noqa: E402


@pytest.fixture(scope="module", params=["tiny", "gpt2/tiny"])
def settings(tmp_path_factory, request):
    """A tiny model of each family, and rows for each of the simulated devices."""
    folder = str(tmp_path_factory.mktemp("speed"))
    settings = Settings(size=request.param, batch=8, inputs=40, targets=24, folder=folder)
    models.write(settings)
    return settings


@pytest.mark.parametrize("function", ["decode", "beam"])
def test_all_arms_write_the_same_tokens(settings, function):
    """Also CTranslate2, whose converter reads the directory as it is; of int8 as many."""
    expected = getattr(ours, function)(settings).answer
    assert {len(row) for row in expected} == {settings.targets}
    for mode in ("eager", "sdpa"):
        assert getattr(huggingface, function)(settings, mode=mode).answer == expected
    assert getattr(translator, function)(settings, kind="float32").answer == expected
    for small in (
        getattr(translator, function)(settings, kind="int8").answer,
        getattr(ours, function)(settings, weights="int8").answer,
    ):
        assert np.shape(small) == np.shape(expected)


def test_all_arms_score_alike(settings):
    """Probabilities, too, are those of a head that is tied or is not: 1e-4 is the order of sums."""
    expected = ours.score(settings).answer
    found = [huggingface.score(settings, mode=mode).answer for mode in ("eager", "sdpa")]
    for scores in (*found, translator.score(settings, kind="float32").answer):
        np.testing.assert_allclose(scores, expected, rtol=1e-4)


@pytest.mark.parametrize("settings", ["tiny"], indirect=True)
def test_all_arms_encode_alike(settings):
    expected = ours.encode(settings).answer
    for mode in ("eager", "sdpa"):
        vectors = huggingface.encode(settings, mode=mode).answer
        np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_first_losses_are_alike(settings):
    """Of the recipe, without its z-loss, and of transformers."""
    found = huggingface.train(settings, mode="sdpa").answer
    assert found == pytest.approx(ours.train(settings).answer, rel=1e-5)
