"""Three lines of Python: texts in the order given, no TensorFlow, mistakes told."""

import subprocess
import sys

import jax
import numpy as np
import pytest

import t5x_lite
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.decoding.strategies import BeamConfig

pytestmark = pytest.mark.usefixtures("two_devices")

TEXTS = ["a", "bread and butter", "", "naïve ☃", "jam " * 9]


@pytest.fixture(scope="module")
def model(byt5):
    return t5x_lite.load(byt5(), num_partitions=2, batch_size=3)


def test_three_lines_give_a_text_for_each_input(model):
    """In the order given; alone a text is answered as among others."""
    found = model.generate(TEXTS, max_decode_length=5)
    assert len(found) == len(TEXTS) and all(isinstance(text, str) for text in found)
    assert model.generate(TEXTS[1:2], max_decode_length=5) == found[1:2]
    assert model.generate([], max_decode_length=5) == []


def test_several_outputs_are_a_list_for_each_input(model):
    """N-best of a beam, with the scores that order them."""
    settings = {"num_decodes": 3, "max_decode_length": 4}
    found = model.generate(TEXTS[:2], strategy="beam", beam_size=3, **settings)
    assert [len(texts) for texts in found] == [3, 3]
    outputs = model.outputs(TEXTS[:2], DecodingConfig(strategy=BeamConfig(beam_size=3), **settings))
    assert [[output.text for output in own] for own in outputs] == found
    for own in outputs:
        assert [o.score for o in own] == sorted((o.score for o in own), reverse=True)
        assert all(o.ended == (o.ids[-1] == 1) for o in own)


def test_texts_begin_as_asked(model):
    """Each its own way, an empty beginning as ever; with rules for all."""
    prefixes = ["x", "", "yes", "", "é"]
    found = model.generate(TEXTS, prefixes=prefixes, max_decode_length=8)
    free = model.generate(TEXTS, max_decode_length=8)
    assert all(text.startswith(prefix) for text, prefix in zip(found, prefixes, strict=True))
    assert [found[1], found[3]] == [free[1], free[3]]
    decoding = DecodingConfig(max_decode_length=8, min_decode_length=8, no_repeat_ngram=1)
    for (output,) in model.outputs(TEXTS, decoding):
        assert len(set(output.ids)) == len(output.ids) == 8


def test_scores_ranks_and_vectors_agree(model):
    """The likeliest option is the one whose score is highest; a score is the sum of its tokens."""
    options = ["yes", "no", "perhaps"]
    scores = [model.score([text] * 3, options) for text in TEXTS]
    assert model.rank(TEXTS, options) == [int(np.argmax(each)) for each in scores]
    tokens = model.score_tokens(["a"], ["no"])[0]
    assert len(tokens) == 3, "two bytes and the end token"
    assert model.score(["a"], ["no"]) == [pytest.approx(float(tokens.sum()), rel=1e-5)]
    own = [["yes"], ["no", "yes"]]
    assert model.rank(TEXTS[:2], own)[0] == 0
    means = [np.mean(model.score_tokens(["a"], [option])[0]) for option in options]
    assert model.rank(["a"], options, per_token=True) == [int(np.argmax(means))]


def test_vectors(model):
    """One row per text, or one per token."""
    vectors = model.encode(TEXTS)
    assert vectors.shape == (5, 32) and vectors.dtype == np.float32
    every = model.encode(TEXTS, pooling=None)
    assert [len(each) for each in every] == [len(text.encode()) + 1 for text in TEXTS]
    np.testing.assert_allclose(vectors[3], every[3].mean(axis=0), rtol=1e-4, atol=1e-5)
    assert model.encode([]).shape == (0, 32)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.generate("a single text"), "needed is a list of texts: \\['a single text'\\]"),
        (lambda m: m.generate(["a"], num_decodes=2), "num_decodes=2.*sample.*beam"),
        (lambda m: m.generate(["a"], strategy="beam", num_decodes=9), "at most 4"),
        (lambda m: m.generate(["a"], prefixes=[]), "0 prefixes for 1 inputs"),
        (
            lambda m: m.generate(["a"], prefixes=["abc"], max_decode_length=3),
            "input 0 is to begin with 3 tokens.*needed is 4 at least",
        ),
        (lambda m: m.generate(["a"], temperature=[0.5]), "needed is strategy='sample'"),
        (
            lambda m: m.generate(["a"], temperature=0.5),
            "temperature=0.5 with strategy='greedy', whose settings are: none; "
            "temperature is a setting of strategy='sample'",
        ),
        (
            lambda m: m.generate(["a"], strategy="beam", top_k=3),
            "top_k=3 with strategy='beam', whose settings are: beam_size, alpha; "
            "top_k is a setting of strategy='sample'",
        ),
        (
            lambda m: m.generate(["a"], strategy="beams"),
            "strategy='beams': needed is one of greedy",
        ),
        (
            lambda m: m.generate(["a"], strategy=BeamConfig(), beam_size=3),
            "beam_size beside strategy=BeamConfig.*needed are its settings in it",
        ),
        (
            lambda m: m.generate(["a"], strategy="sample", temperature=[0.0]),
            "temperature=0.0 of input 0: needed is a positive",
        ),
        (
            lambda m: m.generate(["a"], strategy="exact", max_nodes=9),
            "max_nodes=9 and max_decode_length=128: needed",
        ),
        (lambda m: m.generate(["a"], lengths=[200]), "length=200 of the output of input 0.*128"),
        (
            lambda m: m.generate(["a"], lengths=[2.5]),
            "lengths=\\[2.5\\]: needed is a list of whole numbers",
        ),
        (lambda m: m.generate(["a"], lengths=5), "lengths=5: needed is a list of whole numbers"),
        (lambda m: m.generate(["a"], strategy=None), "strategy=None: needed is a row of"),
        (
            lambda m: m.generate(["a"], strategy="sample", temperature=["hot"]),
            "temperature=\\['hot'\\]: needed is a list of numbers",
        ),
        (
            lambda m: m.generate(
                ["a"], strategy="conditional_beam", attribute="not_empty", lengths=[1]
            ),
            "length=1 of the output of input 0: needed is a number of tokens from 2 to 128",
        ),
        (lambda m: m.generate(["a"], lengths=[3], prefixes=["xyz"]), "its length=3 leaves no"),
        (lambda m: m.generate(["a"], min_decode_length=200), "min_decode_length=200 and max"),
        (lambda m: m.score(["a"], []), "1 inputs and 0 targets"),
        (lambda m: m.rank(["a"], []), "list of texts to choose from"),
        (lambda m: m.rank(["a"], [["b"], ["c"]]), "2 lists of options for 1 inputs"),
    ],
)
def test_mistakes_are_told(model, call, message):
    """What was given and what is needed."""
    with pytest.raises(ValueError, match=message):
        call(model)


def test_wishes_may_be_arrays(model):
    """They are what lists of the same numbers are."""
    texts, given = ["a", "b c"], {"strategy": "sample", "max_decode_length": 6}
    listed = model.generate(texts, lengths=[3, 5], temperature=[0.5, 2.0], **given)
    arrays = {"lengths": np.array([3, 5]), "temperature": np.array([0.5, 2.0])}
    assert model.generate(texts, **arrays, **given) == listed
    assert (
        model.generate(texts, lengths=[np.int64(3), 5], temperature=(0.5, 2.0), **given) == listed
    )


def test_a_vocabulary_that_does_not_fit_is_refused(byt5, tmp_path):
    """More ids than the model has rows."""
    (tmp_path / "vocabulary.json").write_text('{"kind": "bytes", "extra_ids": 900}')
    with pytest.raises(ValueError, match="1159 ids.*vocab_size is 384"):
        t5x_lite.load(byt5(), vocabulary=tmp_path)
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        t5x_lite.load(tmp_path / "nothing")


def test_an_ensemble_answers_as_one(byt5, model):
    """Two identical members are the member."""
    both = t5x_lite.load(byt5(), ensemble_paths=[byt5()], ensemble="probabilities")
    found = both.score(TEXTS, TEXTS)
    np.testing.assert_allclose(found, model.score(TEXTS, TEXTS), rtol=1e-5, atol=1e-5)


def test_int8_is_the_same_model_in_fewer_bytes(byt5, model):
    """On a mesh as well: scores of a token to a twentieth of a nat in the mean."""
    small = t5x_lite.load(byt5(), weights="int8", num_partitions=2, batch_size=3)
    tokens = [np.concatenate(each.score_tokens(TEXTS, TEXTS[::-1])) for each in (model, small)]
    assert 0 < np.abs(tokens[0] - tokens[1]).mean() < 0.05
    sizes = [
        sum(leaf.nbytes for leaf in jax.tree.leaves(each.engine.parameters))
        for each in (model, small)
    ]
    assert sizes[1] < 0.7 * sizes[0]
    assert len(small.generate(TEXTS, max_decode_length=5)) == len(TEXTS)


def test_tensorflow_is_not_loaded_and_the_import_is_light(byt5):
    """Neither to import, nor to load, generate, score and encode."""
    program = f"""
import sys
import t5x_lite
assert not {{"jax", "tensorflow", "numpy"}} & sys.modules.keys()
assert "load" in dir(t5x_lite)
model = t5x_lite.load({str(byt5())!r})
assert model.generate(["a"], max_decode_length=2) and model.score(["a"], ["b"])
assert model.encode(["a"]).shape == (1, 32)
heavy = {{"tensorflow", "seqio", "tensorflow_datasets", "tensorflow_text"}} & sys.modules.keys()
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
