"""One or several models that answer as one.

Raffel et al. (2020), section 3.6, average the logits of the members before the softmax, at every
token; averaging probabilities is the other choice. The members may differ in everything but their
vocabulary with its special ids and in what they read, which has room for prompts of one length.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from t5x_lite.decoding.language_model import LanguageModel
from t5x_lite.decoding.refinement import Denoiser
from t5x_lite.errors import UserError
from t5x_lite.features.layouts import Layout
from t5x_lite.features.outputs import POOLED, TOKENS, Scores, Told, Wanted
from t5x_lite.inference.config import Average
from t5x_lite.inference.reading import IS_INPUT, PLACE
from t5x_lite.model import transformer
from t5x_lite.model.config import ModelConfig
from t5x_lite.partitioning import chunks

# One tree per member, and one cache per member.
Parameters = Sequence[Any]
Caches = tuple[Any, ...]
Networks = tuple[transformer.Network, ...]


@dataclasses.dataclass(frozen=True)
class Ensemble:
    """The functions of `model.transformer`, for all members at once; an ensemble of one is that
    model, to the last bit.
    """

    members: tuple[ModelConfig, ...]
    average: Average = Average.LOGITS

    @property
    def layout(self) -> Layout:
        """That of all members.

        Raises:
            UserError: they read or write differently.
        """
        for name in ("layout", "vocab_size", "special", "prompt_length"):
            given = dict.fromkeys(getattr(member, name) for member in self.members)
            if len(given) > 1:
                raise UserError(
                    "the members of an ensemble must read and write alike; given are "
                    f"{name} {list(given)}."
                )
        return self.members[0].layout

    def start(
        self, networks: Networks, prompts: Mapping[str, Array], *, max_decode_length: int
    ) -> tuple[Float[Array, "batch vocab"], Caches]:
        """Logits of the first new token, and what each member remembers."""
        return self._together(
            lambda network: transformer.start_prepared(
                network, prompts, max_decode_length=max_decode_length
            ),
            networks,
        )

    def prepare(self, parameters: Parameters) -> Networks:
        """The members as they decode."""
        pairs = zip(self.members, parameters, strict=True)
        return tuple(transformer.prepare(member, own) for member, own in pairs)

    def differentiable(self, parameters: Parameters) -> Networks:
        """The members as `empty` and `read` take them."""
        pairs = zip(self.members, parameters, strict=True)
        return tuple(transformer.differentiable(member, own) for member, own in pairs)

    def empty(self, networks: Networks, rows: int, length: int) -> Any:
        """What each member remembers before it reads, with room for so many positions."""
        return tuple(transformer.empty(network, rows, length) for network in networks)

    def read(
        self, networks: Networks, tokens: Int[Array, "rows length"], layers: Any, at: Int[Array, ""]
    ) -> tuple[Float[Array, "rows length vocab"], Any]:
        """Logits behind several tokens, the first of them at position `at`, and what each member
        remembers with them.
        """
        return self._together(
            lambda pair: transformer.read(pair[0], tokens, pair[1], at),
            list(zip(networks, layers, strict=True)),
        )

    def language_model(self, networks: Networks) -> LanguageModel:
        """What a decoder needs."""

        def advance(
            tokens: Int[Array, "rows"], caches: Caches
        ) -> tuple[Float[Array, "rows vocab"], Caches]:
            return self._together(
                lambda own: transformer.advance_prepared(own[0], tokens, own[1]),
                list(zip(networks, caches, strict=True)),
            )

        def tell(tokens: Int[Array, "rows"], caches: Caches, wanted: Wanted) -> tuple[Told, Caches]:
            pairs = zip(networks, caches, strict=True)
            every = [transformer.tell(own, tokens, cache, wanted) for own, cache in pairs]
            return self._told([told for told, _ in every]), tuple(cache for _, cache in every)

        special = self.members[0].special
        return LanguageModel(
            advance,
            special.end,
            special.padding,
            lambda caches, n: tuple(transformer.repeat(cache, n) for cache in caches),
            lambda caches, chosen: tuple(transformer.select(cache, chosen) for cache in caches),
            lambda caches, back: tuple(transformer.rewind(cache, back) for cache in caches),
            tell,
        )

    def denoiser(
        self, networks: Networks, prompts: Mapping[str, Array], *, num_lengths: int
    ) -> Denoiser:
        """What a decoder of whole targets needs, for so many of each example. Members that tell
        lengths average what they tell.
        """
        encoded = [transformer.read_inputs(network, prompts) for network in networks]
        told = [
            transformer.length_scores(network, own)
            for network, own in zip(networks, encoded, strict=True)
        ]
        of_rows = [transformer.repeated(own, num_lengths) for own in encoded]

        def read(
            tokens: Int[Array, "rows length"],
            is_real: Bool[Array, "rows length"],
            function: Callable[..., Any],
            *features: Array,
        ) -> Any:
            every = [
                transformer.token_scores(network, own, tokens, is_real)
                for network, own in zip(networks, of_rows, strict=True)
            ]

            def of_all(*given: Array) -> Any:
                return function(self._average(given[: len(every)]), *given[len(every) :])

            return chunks.each_position(of_all, every, *features)

        first = self.members[0]
        known = [scores for scores in told if scores is not None]
        return Denoiser(
            read,
            first.vocab_size,
            first.special.end,
            first.special.padding,
            first.special.mask,
            sum(known[1:], known[0]) / len(known) if known else None,
        )

    def put(self, caches: Caches, others: Caches, places: Int[Array, "others"]) -> Caches:
        """The caches in which examples at `places` are those of `others`."""
        pairs = zip(caches, others, strict=True)
        return tuple(transformer.put(own, other, places) for own, other in pairs)

    def log_probs(
        self, parameters: Parameters, batch: Mapping[str, Array]
    ) -> Float[Array, "batch length"]:
        """Of each of decoder_target_tokens."""
        pairs = zip(self.members, parameters, strict=True)
        every = [transformer.apply(member, own, batch).heads[TOKENS] for member, own in pairs]

        def of_targets(*given: Array) -> Float[Array, "batch length"]:
            *logits, targets = given
            log_probs = jax.nn.log_softmax(self._average(logits), axis=-1)
            return jnp.take_along_axis(log_probs, targets[..., None], axis=-1)[..., 0]

        return chunks.each_position(of_targets, every, batch["decoder_target_tokens"])

    def encode(
        self, parameters: Parameters, batch: Mapping[str, Array]
    ) -> Float[Array, "batch length embed"]:
        """The mean of the members' last hidden states, in float32: of the encoder's, or without one
        of the decoder's.
        """
        pairs = zip(self.members, parameters, strict=True)
        every = [transformer.encode(member, own, batch) for member, own in pairs]
        return jnp.mean(jnp.stack([hidden.astype(jnp.float32) for hidden in every]), axis=0)

    def mean(
        self, parameters: Parameters, batch: Mapping[str, Array]
    ) -> Float[Array, "batch embed"]:
        """What `encode` gives, averaged over the tokens of the inputs themselves."""
        is_input = (batch[IS_INPUT] > 0)[..., None]
        total = jnp.sum(jnp.where(is_input, self.encode(parameters, batch), 0.0), axis=1)
        return total / jnp.sum(is_input, axis=1)

    def tell(
        self, what: str, parameters: Parameters, batch: Mapping[str, Array]
    ) -> Float[Array, "batch length outputs"]:
        """The mean of what the members' heads of that name give, or of their hidden states where it
        is "encoder" or "pooled"; where the batch has places, at those only.
        """
        is_head = what not in ("encoder", POOLED)
        wanted = Wanted((what,), ()) if is_head else Wanted((), (what,))
        every = []
        for member, own in zip(self.members, parameters, strict=True):
            outputs = transformer.apply(member, own, batch, wanted=wanted)
            scores = outputs.heads[what] if is_head else Scores(outputs.hidden[what])
            every.append(scores.at(batch[PLACE]) if PLACE in batch else scores.all())
        return jnp.mean(jnp.stack([each.astype(jnp.float32) for each in every]), axis=0)

    def _together(
        self, run: Callable[[Any], tuple[Array, Any]], arguments: Sequence[Any]
    ) -> tuple[Array, Caches]:
        every = [run(own) for own in arguments]
        return self._average([logits for logits, _ in every]), tuple(cache for _, cache in every)

    def _told(self, every: Sequence[Told]) -> Told:
        """The average of logits, of all else the mean in float32."""
        found = jax.tree.map(
            lambda *parts: jnp.mean(jnp.stack([each.astype(jnp.float32) for each in parts]), 0),
            *every,
        )
        if TOKENS not in found.heads:
            return found
        logits = self._average([told.logits for told in every])
        return found._replace(heads={**found.heads, TOKENS: logits})

    def _average(self, every: Sequence[Float[Array, "*rows vocab"]]) -> Float[Array, "*rows vocab"]:
        if len(every) == 1:
            return every[0]
        if self.average is Average.LOGITS:
            return sum(every[1:], every[0]) / len(every)
        log_probs = jnp.stack([jax.nn.log_softmax(logits, axis=-1) for logits in every])
        return jax.nn.logsumexp(log_probs, axis=0) - jnp.log(float(len(every)))
