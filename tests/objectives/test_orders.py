"""Orders of tokens: what is shown comes first, all else one by one, block by block."""

import numpy as np
import pytest
import seqio
import tensorflow as tf

from t5x_lite.features.config import SpecialTokens
from t5x_lite.objectives import keys, masked_table, orders
from t5x_lite.objectives.choices import Texts
from t5x_lite.text.word_piece import WordPieceTokenizer, WordRules
from t5x_lite.text.word_piece_vocabulary import WordPieceVocabulary

BLOCK = 8


def texts_of(rows, lengths, seed=0):
    """Rows of numbers, of which the last is special, and a fifth that is chosen."""
    ids = rows([range(length) for length in lengths])
    is_text = np.concatenate([np.arange(length) < length - 1 for length in lengths])
    rng = np.random.default_rng(1)
    chosen = is_text & (rng.random(len(is_text)) < 0.2)
    given = keys.of_seed(tf.constant([seed, 0], tf.int64), tf.constant(len(lengths)))
    return Texts(ids, tf.constant(is_text), tf.constant(is_text), given), tf.constant(chosen)


def ranks_of(rows, lengths, seed=0):
    """Of each row its ranks, which tokens are told one by one, and its blocks."""
    texts, chosen = texts_of(rows, lengths, seed)
    ranks = orders.permuted(BLOCK)(texts, chosen).numpy()
    is_late = (chosen | ~texts.is_text).numpy()
    ends = np.cumsum(lengths)[:-1]
    return [
        (found, late, np.arange(len(found)) // BLOCK)
        for found, late in zip(np.split(ranks, ends), np.split(is_late, ends), strict=True)
    ]


def test_what_is_shown_comes_first_and_all_else_one_by_one(rows):
    """In each block, and no block before the one on its left is told."""
    for ranks, is_late, block in ranks_of(rows, [30, 1, 8, 17]):
        assert len({*ranks[is_late]}) == is_late.sum() and ranks.min() >= 1
        assert ranks.max() <= len(ranks)
        for number in range(block[-1] + 1):
            shown, late = (ranks[(block == number) & each] for each in (~is_late, is_late))
            assert len({*shown}) <= 1
            if len(shown) and len(late):
                assert shown.max() < late.min()
            if number:
                assert ranks[block == number].min() > ranks[block == number - 1].max()


def test_the_order_is_new_by_seed_and_alike_for_all_places(rows):
    """Each of 7 tokens is last as often as another, within 4 s.e.; a row is its key's alone."""
    (one, *_), (again, *_) = (ranks_of(rows, [40, 9], seed)[0] for seed in (0, 0))
    np.testing.assert_array_equal(one, again)
    count = 3000
    texts, _ = texts_of(rows, [BLOCK] * count)
    ranks = orders.permuted(BLOCK)(texts, texts.is_text).numpy().reshape(count, BLOCK)
    assert (np.sort(ranks, axis=1) == 1 + np.arange(BLOCK)).all()
    last = (ranks == BLOCK).mean(axis=0)
    np.testing.assert_allclose(last, 1 / BLOCK, atol=4 * np.sqrt(7 / 64 / count))
    neighbours = np.mean(ranks[:, 0] < ranks[:, 1])
    assert abs(neighbours - 0.5) < 4 * np.sqrt(0.25 / count)


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    """A hundred words, and an encoder's special tokens."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "."]
    pieces += [f"w{number}" for number in range(100)]
    folder = tmp_path_factory.mktemp("words")
    special = SpecialTokens(padding=0, unknown=1, start=2, end=3, mask=4)
    made = WordPieceTokenizer({p: i for i, p in enumerate(pieces)}, special, WordRules())
    for name, content in made.files().items():
        (folder / name).write_bytes(content)
    return WordPieceVocabulary(folder)


def examples(name, vocabulary, length):
    """What the objective makes of two documents of sentences of 17 tokens."""
    rng = np.random.default_rng(0)
    texts = [
        " ".join(" ".join(f"w{n}" for n in rng.integers(0, 100, 16)) + "." for _ in range(240))
        for _ in range(2)
    ]
    features = masked_table.output_features(name, vocabulary)
    dataset = tf.data.Dataset.from_tensor_slices({"targets": texts})
    with seqio.utils.map_seed_manager(0):
        for preprocessor in masked_table.preprocessors(name):
            if preprocessor is masked_table.preprocessors(name)[0]:
                dataset = preprocessor(dataset, features)
            else:
                dataset = preprocessor(dataset, dict.fromkeys(features, length), features)
    return [*dataset.as_numpy_iterator()]


def test_one_in_six_is_predicted_of_blocks_of_256(vocabulary):
    """85 of 512 (Yang et al. 2019, after their code); nothing is hidden in the inputs."""
    found = [e for e in examples("permuted", vocabulary, 512) if len(e["inputs"]) == 512]
    assert len(found) > 5
    for example in found:
        assert example["target_weights"].sum() == 85
        np.testing.assert_array_equal(example["inputs"], example["targets"])
        ranks, is_late = example["order"], example["target_weights"] > 0
        assert ranks[:256].max() < ranks[256:].min()
        is_late |= np.isin(example["targets"], (2, 3))
        assert len({*ranks[~is_late]}) == 2


def test_a_memory_is_the_text_before(vocabulary):
    """Of the same places in the stream of text; none of it is predicted, and it has rank 0."""
    found = examples("permuted_with_memory", vocabulary, 64)
    texts = [e["targets"][e["order"] > 0][1:-1] for e in found]
    assert (found[0]["order"] > 0).all() and len(found) > 50
    before = np.array([], np.int64)
    for example, text in zip(found, texts, strict=True):
        is_memory = example["order"] == 0
        count = min(32, len(before))
        assert is_memory.sum() == count and is_memory[:count].all()
        np.testing.assert_array_equal(example["targets"][:count], before[len(before) - count :])
        assert not example["target_weights"][is_memory].any()
        new = 64 - 32 if len(example["order"]) == 64 else len(text) + 2
        assert example["target_weights"].sum() == max(round(new / 6), 1)
        before = np.concatenate([before, text])
