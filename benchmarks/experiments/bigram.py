"""An interpolated bigram (Jelinek and Mercer 1980): what a language model has to beat.

p(w | v) = a c(v, w) / c(v) + b c(w) / n + c / vocab_size, the weights fitted by EM on held-out text
(a is lambda, b is (1 - lambda) mu). Behind a token never seen the first part is the second.
"""

import dataclasses

import numpy as np
import scipy.sparse
from jaxtyping import Float, Int

_ROUNDS = 100


@dataclasses.dataclass(frozen=True)
class Bigram:
    """Counts of training text, and the weights of the three parts."""

    pairs: scipy.sparse.csr_array
    weights: Float[np.ndarray, "3"]

    def log_probs(
        self, previous: Int[np.ndarray, "tokens"], tokens: Int[np.ndarray, "tokens"]
    ) -> Float[np.ndarray, "tokens"]:
        """Of each token behind the one before it, in nats."""
        return np.log(_parts(self.pairs, previous, tokens) @ self.weights)


def fit(
    train: tuple[Int[np.ndarray, "train"], Int[np.ndarray, "train"]],
    held_out: tuple[Int[np.ndarray, "held_out"], Int[np.ndarray, "held_out"]],
    vocab_size: int,
) -> Bigram:
    """Counts from one text and weights from another, each as (tokens before, tokens)."""
    ones = np.ones(len(train[0]))
    pairs = scipy.sparse.coo_array((ones, train), shape=(vocab_size, vocab_size)).tocsr()
    parts = _parts(pairs, *held_out)
    weights = np.full(3, 1 / 3)
    for _ in range(_ROUNDS):
        shares = parts * weights
        weights = (shares / shares.sum(axis=1, keepdims=True)).mean(axis=0)
    return Bigram(pairs, weights)


def _parts(
    pairs: scipy.sparse.csr_array,
    previous: Int[np.ndarray, "tokens"],
    tokens: Int[np.ndarray, "tokens"],
) -> Float[np.ndarray, "tokens 3"]:
    """The probability of each token by each part alone."""
    unigram = (pairs.sum(axis=0) / pairs.sum())[tokens]
    seen = pairs.sum(axis=1)[previous]
    bigram = np.where(seen > 0, pairs[previous, tokens] / np.maximum(seen, 1), unigram)
    return np.stack([bigram, unigram, np.full(len(tokens), 1 / pairs.shape[0])], axis=1)
