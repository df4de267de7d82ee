"""The mode: the sequences that a model holds to be the likeliest of all that end.

Depth-first search with a bound (Stahlberg and Byrne 2019): a prefix is as likely as anything that
begins with it at most, so one that is no likelier than what was found is left at once. Children
come likeliest first, wherefore the first that is found is what greedy decoding writes. One row of
the model's memory is enough: to go back is to write over what was written last.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

from t5x_lite.decoding.examples import Examples
from t5x_lite.decoding.language_model import TOKEN_LOGITS, Decoded, LanguageModel
from t5x_lite.decoding.rules import ANYTHING, Rules, Written
from t5x_lite.decoding.search import Moves
from t5x_lite.features.outputs import TOKENS, Told, Wanted

# Behind the last place.
_NOWHERE = 2**30


class _State(NamedTuple):
    """`path` are the tokens of the prefix, `depth` how many (-1: all is searched); `prefixes[d]` is
    the log-probability of the first d of them, `children[d]` that of each token behind these, minus
    infinity once it was tried. `found` and `log_probs` are the best that end, best first.
    """

    examples: Examples
    path: Int[Array, "examples length"]
    depth: Int[Array, "examples"]
    prefixes: Float[Array, "examples length"]
    children: Float[Array, "examples length vocab"]
    found: Int[Array, "examples decodes length"]
    log_probs: Float[Array, "examples decodes"]
    nodes: Int[Array, "examples"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExactSearch:
    """A `Search` of the `num_decodes` likeliest sequences that end within `max_decode_length`
    tokens, among those that the rules allow.

    It gives up after `max_nodes` prefixes. `Decoded.scores` is what no sequence exceeds that was
    not found: equal to `log_probs` where the search came to its end.
    """

    max_decode_length: int
    num_decodes: int = 1
    max_nodes: int = 10_000
    rules: Rules = ANYTHING
    wanted: Wanted = TOKEN_LOGITS

    @property
    def rows(self) -> int:
        """The one prefix that is looked at."""
        return 1

    @property
    def max_steps(self) -> int:
        """As many as there are prefixes."""
        return self.max_nodes

    def begin(
        self,
        first_logits: Float[Array, "examples vocab"],
        examples: Examples,
        model: LanguageModel,
    ) -> _State:
        """At the empty prefix, or already at the first token that is worth a look."""
        length = self.max_decode_length
        count, vocab = first_logits.shape
        nothing = jnp.full((count, self.num_decodes), -jnp.inf)
        state = _State(
            examples,
            jnp.full((count, length), model.padding, jnp.int32),
            jnp.zeros(count, jnp.int32),
            jnp.zeros((count, length)),
            jnp.full((count, length, vocab), -jnp.inf),
            jnp.full((count, self.num_decodes, length), model.padding, jnp.int32),
            nothing,
            jnp.zeros(count, jnp.int32),
        )
        return self.grow(state, Told({TOKENS: first_logits}), model)[0]

    def last(self, state: _State) -> Int[Array, "examples"]:
        """The newest token of each prefix."""
        return _at(state.path, jnp.maximum(state.depth - 1, 0))

    def grow(self, state: _State, told: Told, model: LanguageModel) -> tuple[_State, Moves]:
        """Each prefix with one token more, perhaps after steps back; and how many of these."""
        going = ~self.finished(state)
        new = self._read(state, going, told.logits, model)
        new = self._descend(new, going, model)._replace(nodes=state.nodes + going)
        # The model has read as many tokens as the prefix had; the next one goes where it ends now.
        back = state.depth + 1 - new.depth
        return new, Moves(back=jnp.where(going & (new.depth >= 0), back, 0))

    def finished(self, state: _State) -> Bool[Array, "examples"]:
        """All is searched, or as much as may be."""
        return (state.examples.indices < 0) | (state.depth < 0) | (state.nodes >= self.max_nodes)

    def result(self, state: _State) -> Decoded:
        """The best that were found."""
        left = jnp.max(state.prefixes + jnp.max(state.children, axis=-1), axis=-1)
        left = jnp.where(state.depth < 0, -jnp.inf, left)
        bounds = jnp.maximum(state.log_probs, left[:, None])
        return Decoded(state.found, state.log_probs, bounds)

    def _read(
        self,
        state: _State,
        going: Bool[Array, "examples"],
        logits: Float[Array, "examples vocab"],
        model: LanguageModel,
    ) -> _State:
        """With what the model says of the tokens behind the prefix."""
        log_probs = jax.nn.log_softmax(logits, axis=-1)[:, None]
        written = Written(state.examples, state.path[:, None], state.depth)
        allowed = self.rules(log_probs, written, end=model.end)[:, 0]
        # What does not end there does not end in time.
        is_last = (state.depth == self.max_decode_length - 1)[:, None]
        ends = jnp.arange(allowed.shape[-1])[None] == model.end
        allowed = jnp.where(is_last & ~ends, -jnp.inf, allowed)
        return state._replace(children=_put(state.children, state.depth, allowed, going))

    def _descend(
        self, state: _State, going: Bool[Array, "examples"], model: LanguageModel
    ) -> _State:
        """Up and on until each example stands at a prefix that the model has not seen, or is done:
        no step of it needs the model.
        """

        def goes_on(carried: tuple[_State, Array]) -> Bool[Array, ""]:
            return jnp.any(carried[1])

        def step(carried: tuple[_State, Array]) -> tuple[_State, Array]:
            state, going = carried
            state, has_grown = _step(state, going, model)
            return state, going & ~has_grown & (state.depth >= 0)

        return jax.lax.while_loop(goes_on, step, (state, going))[0]


def _step(
    state: _State, going: Bool[Array, "examples"], model: LanguageModel
) -> tuple[_State, Bool[Array, "examples"]]:
    """One token more, one less, or one that ends, where an example is going; and whether it is one
    more.
    """
    depth = jnp.maximum(state.depth, 0)
    children = _at(state.children, depth)
    token = jnp.argmax(children, axis=-1).astype(jnp.int32)
    total = _at(state.prefixes, depth) + jnp.max(children, axis=-1)
    is_worth = going & (total > state.log_probs[:, -1])
    ends = is_worth & (token == model.end)
    grows = is_worth & ~ends
    rows = jnp.arange(token.shape[0])
    tried = state.children.at[rows, jnp.where(is_worth, depth, _NOWHERE), token]
    # Behind a new prefix all may be certain, until the model has said more.
    certain = jnp.zeros_like(children)
    found, log_probs = _with(state, token, jnp.where(ends, total, -jnp.inf), model.padding)
    moved = jnp.where(grows, 1, jnp.where(going & ~ends, -1, 0))
    return state._replace(
        path=_put(state.path, depth, token, grows),
        depth=state.depth + moved,
        prefixes=_put(state.prefixes, depth + 1, total, grows),
        children=_put(tried.set(-jnp.inf, mode="drop"), depth + 1, certain, grows),
        found=found,
        log_probs=log_probs,
    ), grows


def _with(
    state: _State,
    token: Int[Array, "examples"],
    log_prob: Float[Array, "examples"],
    padding: int,
) -> tuple[Int[Array, "examples decodes length"], Float[Array, "examples decodes"]]:
    """The best that end, with the prefix and its last token among them if it is one of them."""
    places = jnp.arange(state.path.shape[-1])[None]
    depth = state.depth[:, None]
    sequence = jnp.where(places < depth, state.path, padding)
    sequence = jnp.where(places == depth, token[:, None], sequence)
    every = jnp.concatenate([state.found, sequence[:, None]], axis=1)
    scores = jnp.concatenate([state.log_probs, log_prob[:, None]], axis=1)
    order = jnp.argsort(scores, axis=1, descending=True, stable=True)[:, :-1]
    found = jnp.take_along_axis(every, order[..., None], axis=1)
    return found, jnp.take_along_axis(scores, order, axis=1)


def _at(values: Shaped[Array, "examples places ..."], place: Int[Array, "examples"]) -> Array:
    """Of each example what stands at one place."""
    index = place.reshape(-1, *(1,) * (values.ndim - 1))
    return jnp.take_along_axis(values, index, axis=1)[:, 0]


def _put(
    values: Shaped[Array, "examples places ..."],
    place: Int[Array, "examples"],
    new: Shaped[Array, "examples ..."],
    where: Bool[Array, "examples"],
) -> Array:
    """The values, those at one place of some examples replaced; the rest is neither read nor
    written.
    """
    rows = jnp.arange(place.shape[0])
    return values.at[rows, jnp.where(where, place, _NOWHERE)].set(new, mode="drop")
