"""What an encoder tells of texts, whatever stands beside them in a batch, and what it cannot."""

import dataclasses

import jax
import numpy as np
import pytest

from t5x_lite.checkpoints.parameters import abstract_parameters, place_parameters
from t5x_lite.compression.augmentation import replaceable
from t5x_lite.errors import UserError
from t5x_lite.features.config import SpecialTokens
from t5x_lite.features.layouts import Layout
from t5x_lite.inference.candidates import Candidates
from t5x_lite.inference.engine import Engine
from t5x_lite.inference.ensemble import Ensemble
from t5x_lite.inference.reading import Asked
from t5x_lite.inference.text_model import TextModel
from t5x_lite.model import transformer
from t5x_lite.model.choices import HeadKind
from t5x_lite.model.config import LearnedPositionsConfig, RelativeKeysConfig
from t5x_lite.model.head_config import HeadConfig
from t5x_lite.testing import tiny_model
from t5x_lite.text.word_piece import WordPieceTokenizer

pytestmark = pytest.mark.usefixtures("two_devices")

HEADS = (
    HeadConfig(transform="gelu_erf"),
    HeadConfig(kind=HeadKind.CLASSES, num_classes=3, labels=("cold", "mild", "hot"), pooled=True),
)
TEXTS = ["the cat", "sat", "the mat sat on the cat"]
PIECES = "[PAD] [UNK] [CLS] [SEP] [MASK] the cat sat on mat dog ##s".split()


@pytest.fixture(scope="module")
def model_of(mesh):
    """Heads and devices -> texts in, what is told out, with random parameters."""

    def make(heads=HEADS, *, devices=1, batch_size=2, **fields):
        special = SpecialTokens(padding=0, unknown=1, start=2, end=3, mask=4)
        tokenizer = WordPieceTokenizer({name: i for i, name in enumerate(PIECES)}, special)
        config, stacks = tiny_model(16, Layout.ENCODER), {"token_types": 2} | fields
        config = config.with_stacks(lambda _, stack: dataclasses.replace(stack, **stacks))
        config = dataclasses.replace(config, heads=heads, pooler=True, special=special)
        draw = jax.jit(lambda key: transformer.init_parameters(config, key))
        parameters = jax.tree.map(
            lambda leaf: leaf + 0.3 * jax.random.normal(jax.random.key(1), leaf.shape),
            draw(jax.random.key(0)),
        )
        partitioner = mesh(1, devices)
        placed = place_parameters(
            jax.device_get(parameters), abstract_parameters(config, partitioner)
        )
        engine = Engine(Ensemble((config,)), [placed], partitioner)
        return TextModel(engine, tokenizer, batch_size=batch_size)

    return make


def test_what_is_told_does_not_depend_on_the_batch_or_the_mesh(model_of):
    """Nor on what stands beside a text."""
    one, other = model_of(batch_size=1), model_of(devices=8, batch_size=8)
    for pooling in ("first", "pooler", "mean"):
        found = [model.encode(TEXTS, pooling=pooling) for model in (one, other)]
        np.testing.assert_allclose(*found, rtol=1e-4, atol=1e-5)
    for found, expected in zip(other.classify(TEXTS), one.classify(TEXTS), strict=True):
        assert (
            found.label == expected.label == max(found.probabilities, key=found.probabilities.get)
        )
        assert list(found.probabilities) == ["cold", "mild", "hot"]
        assert sum(found.probabilities.values()) == pytest.approx(1.0)
        assert found.probabilities == pytest.approx(expected.probabilities, rel=1e-4)


def test_a_pair_is_no_text(model_of):
    """What comes second is of another type, and order matters."""
    model = model_of()
    both = model.classify([("the cat", "sat"), ("sat", "the cat"), ("the cat", "")])
    assert len({round(each.probabilities["cold"], 6) for each in both}) == 3
    with pytest.raises(UserError, match="needed is a list of texts"):
        model.classify("the cat")


def test_the_first_token_is_that_of_all(model_of):
    """[CLS] cat [SEP] has three rows; "first" is the first of them, "mean" all together."""
    model = model_of()
    (rows,) = model.encode(["cat"], pooling=None)
    assert len(rows) == 3
    np.testing.assert_allclose(model.encode(["cat"], pooling="first")[0], rows[0], rtol=1e-5)
    np.testing.assert_allclose(model.encode(["cat"], pooling="last")[0], rows[2], rtol=1e-5)
    np.testing.assert_allclose(model.encode(["cat"])[0], rows.mean(0), rtol=1e-5, atol=1e-6)
    assert model.encode([], pooling="pooler").shape == (0, rows.shape[1])


def test_a_mask_is_filled_by_tokens_there_are(model_of):
    """Each mask by itself; ids behind those in use are no tokens, and probabilities add up to 1."""
    model = model_of()
    first, second = model.fill("the [MASK] sat on[MASK]", k=len(PIECES))
    for filled in (first, second):
        assert {each.id for each in filled} == set(range(len(PIECES)))
        chances = [each.probability for each in filled]
        assert chances == sorted(chances, reverse=True) and sum(chances) == pytest.approx(1.0)
    assert [each.id for each in first] != [each.id for each in second]
    assert model.fill("the [MASK] sat on[MASK]", k=2)[1] == second[:2]


def test_two_streams_know_of_a_mask_only_where_it_stands(model_of, monkeypatch):
    """Whatever token it is; one stream reads the mask itself."""
    positions = {"positions": RelativeKeysConfig(), "two_streams": True, "token_types": 0}
    model, one = model_of(**positions), model_of(**positions | {"two_streams": False})
    filled = model.fill("the [MASK] sat on [MASK]")
    assert len(filled) == 2
    # A table of vectors in which the mask is another one moves nothing.
    (parameters,) = model.engine.parameters
    table = parameters["token_embedder"]["embedding"]
    moved = parameters | {"token_embedder": {"embedding": table.at[4].add(1.0)}}
    monkeypatch.setattr(model.engine, "parameters", (moved,))
    for found, expected in zip(model.fill("the [MASK] sat on [MASK]", k=12), filled, strict=True):
        chances = {each.id: each.probability for each in found if each.id != 4}
        ratio = [chances[each.id] / each.probability for each in expected if each.id != 4]
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)
    assert one.fill("the [MASK] sat", k=3) != model.fill("the [MASK] sat", k=3)


def test_what_cannot_be_told_is_refused(model_of, engine_of):
    """With what is needed."""
    model = model_of()
    for text, k in (("the cat", 5), ("the [MASK]", 0), ("the [MASK]", 13)):
        with pytest.raises(UserError, match=r"needed is a text with \[MASK\] .* from 1 to 12"):
            model.fill(text, k)
    with pytest.raises(UserError, match="the model has no 'classes'"):
        model_of(HEADS[:1]).classify(TEXTS)
    decoder = TextModel(engine_of(num_partitions=1, devices=1), model.tokenizer, batch_size=2)
    with pytest.raises(UserError, match="told by an encoder alone"):
        decoder.encode(TEXTS, pooling="first")
    with pytest.raises(UserError, match="of 2 classes: needed is a name for each"):
        HeadConfig(kind=HeadKind.CLASSES, labels=("one",))


def candidates_of(model, count, text="the cats sat on 2 mats"):
    words = replaceable(text, {"the", "on"})
    (found,) = Candidates(model, count).of_texts([text], [words])
    return dict(zip([word.text for word in words], found, strict=True))


def test_candidates_are_whole_words_and_never_the_word_itself(model_of):
    """Of one piece (sat) those that the masked text and the text behind it make likeliest, of
    several (cats) those with near vectors.
    """
    found = candidates_of(model_of(), len(PIECES))
    words = {"the", "cat", "sat", "on", "mat", "dog"}
    assert {word: set(others) for word, others in found.items()} == {
        "cats": words,
        "sat": words - {"sat"},
        "mats": words,
    }
    # Among as many as are asked for, pieces and marks may be.
    few = candidates_of(model_of(), 3)
    for word, others in few.items():
        assert others == found[word][: len(others)] and len(others) <= 3


def test_the_likeliest_candidate_is_what_a_mask_is_filled_with(model_of):
    model, text = model_of(), "the cat sat"
    tokenizer = model.tokenizer
    framed = tokenizer.template.frame(tokenizer.special, [5, 4, 7], tokenizer.encode(text))
    (logits,) = model.engine.tell([Asked(framed, 2, [2])], "tokens", batch_size=1)
    best = sorted((i for i in (5, 7, 8, 9, 10)), key=lambda i: -logits[i])
    found = candidates_of(model, len(PIECES), text)
    assert found["cat"] == [PIECES[i] for i in best]


def test_a_near_vector_is_a_near_word(model_of):
    """Of a word in pieces the mean of theirs."""
    model = model_of()
    (parameters,) = model.engine.parameters
    table = np.array(parameters["token_embedder"]["embedding"])
    table[10] = table[6] + table[11]  # a dog is what cat and ##s are
    vectors = {**parameters, "token_embedder": {"embedding": jax.numpy.asarray(table)}}
    model.engine = model.engine.with_parameters([vectors])
    assert candidates_of(model, len(PIECES), "cats")["cats"][0] == "dog"


def test_a_text_too_long_for_a_second_one_stands_alone(model_of):
    model = model_of(positions=LearnedPositionsConfig(max_length=8))
    assert candidates_of(model, 3, "the cat sat on the mat").keys() == {"cat", "sat", "mat"}


def test_who_finds_no_masked_tokens_has_no_candidates(model_of):
    with pytest.raises(UserError, match="the model has no head of tokens: needed is an encoder"):
        Candidates(model_of(heads=HEADS[1:]), 3)
