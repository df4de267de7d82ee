"""A language model so small that every sequence it can write is enumerated."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.decoding.examples import Examples
from t5x_lite.decoding.language_model import LanguageModel
from t5x_lite.decoding.search import decode

VOCAB = 5
EOS, PAD = 1, 0


class Toy:
    """Logits are a function of an example and of all tokens so far, held in a table.

    The cache is what a Transformer's is to its decoder: a memory that moves with the rows. Here it
    is the number of the tokens so far in base VOCAB, behind the number of the example.
    """

    def __init__(self, seed=0, batch=3, length=5, eos_bonus=0.0):
        rng = np.random.default_rng(seed)
        self.batch, self.length = batch, length
        shape = (batch, sum(VOCAB**n for n in range(length)), VOCAB)
        self.table = 1.5 * rng.standard_normal(shape).astype(np.float32)
        self.table[..., EOS] += eos_bonus
        self.first_logits = jnp.asarray(self.table[:, 0])
        self.cache = (jnp.arange(batch), jnp.zeros(batch, jnp.int32))
        self.model = LanguageModel(
            self._advance, EOS, PAD, self._repeat, self._select, self._rewind
        )

    def _advance(self, tokens, cache):
        example, prefix = cache
        # The prefixes of one length follow those of all shorter ones: a heap with VOCAB children.
        prefix = prefix * VOCAB + 1 + tokens
        return jnp.asarray(self.table)[example, prefix], (example, prefix)

    @staticmethod
    def _repeat(cache, n):
        return jax.tree.map(lambda part: jnp.repeat(part, n), cache)

    @staticmethod
    def _select(cache, chosen):
        example, prefix = cache
        return example, jnp.take_along_axis(prefix.reshape(chosen.shape), chosen, 1).reshape(-1)

    def _rewind(self, cache, back):
        example, prefix = cache
        for step in range(self.length):
            prefix = jnp.where(back > step, (prefix - 1) // VOCAB, prefix)
        return example, prefix

    def decode(
        self, search, *, indices=None, forced=None, temperature=None, lengths=None, **changes
    ):
        """What a search finds, the examples numbered 0, 1, ... if not told."""
        indices = jnp.arange(self.batch) if indices is None else indices
        examples = Examples(indices, forced, temperature, lengths)
        model = dataclasses.replace(self.model, **changes)
        run = jax.jit(lambda logits, cache: decode(search, logits, cache, model, examples=examples))
        return jax.tree.map(np.asarray, run(self.first_logits, self.cache))

    def log_prob(self, example, tokens):
        """By definition: the sum of the log-probabilities of each token after those before it."""
        prefix, total = 0, 0.0
        for token in tokens:
            logits = self.table[example, prefix].astype(np.float64)
            total += logits[token] - np.log(np.exp(logits).sum())
            prefix = prefix * VOCAB + 1 + int(token)
        return total

    def all_finished(self, length=None):
        """Every sequence that ends in EOS, and has no other, of at most `length` tokens."""
        others = [token for token in range(VOCAB) if token != EOS]
        for n in range(length or self.length):
            for tokens in itertools.product(others, repeat=n):
                yield (*tokens, EOS)


@pytest.fixture
def toy():
    """(seed, batch, length, eos_bonus) -> a Toy."""
    return Toy


def cut(row):
    """A row's tokens, end token included, without the padding behind it."""
    row = [int(token) for token in row]
    return tuple(row[: row.index(EOS) + 1]) if EOS in row else tuple(row)


@pytest.fixture(name="cut")
def _cut():
    return cut
