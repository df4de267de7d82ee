"""What `t5x_lite export --format=ctranslate2` writes gives our tokens and scores in CTranslate2.

`make parity` installs torch, transformers and CTranslate2.
"""

import dataclasses
import json

import jax
import numpy as np
import pytest

from t5x_lite import cli
from t5x_lite.checkpoints import huggingface
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.model import transformer
from t5x_lite.testing import tiny_model

pytestmark = [
    pytest.mark.parity,
    # transformers and CTranslate2 use what torch and Python deprecate; that is not ours to fix.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]
REASON = "is not installed: `make parity` installs the extra 'speed'"
for package in ("torch", "transformers"):
    pytest.importorskip(package, reason=f"{package} {REASON}")
ctranslate2 = pytest.importorskip("ctranslate2", reason=f"ctranslate2 {REASON}")

import t5x_lite  # noqa: E402
from benchmarks.speed import vocabulary  # noqa: E402

VOCAB = 512
TEXTS = ["ab", "cdab bc", "d"]


def write(folder, *, is_tied):
    """A model that is not sure of itself: v1.0's tied and scaled head, or v1.1's own."""
    model = dataclasses.replace(
        tiny_model(VOCAB, logits_via_embedding=is_tied), scale_logits=is_tied
    )
    rng = np.random.default_rng(1)
    parameters = jax.tree.map(
        lambda leaf: 0.3 * rng.standard_normal(leaf.shape, np.float32),
        transformer.abstract_parameters(model),
    )
    huggingface.save(folder, model, parameters, vocabulary.made_up(VOCAB))


@pytest.mark.parametrize("is_tied", [True, False])
def test_tokens_and_scores_are_ours(is_tied, tmp_path):
    """Scores as well: whether logits are scaled changes no greedy token."""
    write(tmp_path / "hf", is_tied=is_tied)
    words = ["--format=ctranslate2", f"--output={tmp_path / 'ct2'}"]
    assert cli.main(["export", str(tmp_path / "hf"), *words]) == 0
    ours = t5x_lite.load(tmp_path / "hf")
    theirs = ctranslate2.Translator(str(tmp_path / "ct2"), intra_threads=1)
    pieces = vocabulary_pieces(tmp_path / "ct2")
    rows = [[*ours.tokenizer.encode(text), 1] for text in TEXTS]
    found = theirs.translate_batch(
        [[pieces[each] for each in row] for row in rows],
        beam_size=1,
        max_decoding_length=8,
        return_scores=True,
        return_end_token=True,
    )
    expected = ours.outputs(TEXTS, DecodingConfig(max_decode_length=8))
    for each, (own,) in zip(found, expected, strict=True):
        assert [pieces.index(piece) for piece in each.hypotheses[0]] == list(own.ids)
        assert each.scores[0] * len(own.ids) == pytest.approx(own.log_prob, rel=1e-4)


def vocabulary_pieces(folder):
    """Id -> piece, as the directory says."""
    return json.loads((folder / "shared_vocabulary.json").read_text())
