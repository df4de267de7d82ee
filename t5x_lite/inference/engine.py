"""Restored models on a mesh that generate, score and encode lists of token ids.

Every example is answered exactly once and in the order given, whatever the batch, the mesh and the
number of processes. Knows no text and no task, and loads no TensorFlow.
"""

import copy
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float32

from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.decoding.language_model import Decoded
from t5x_lite.errors import UserError
from t5x_lite.features.layouts import Layout
from t5x_lite.inference import fitting
from t5x_lite.inference.batching import (
    Group,
    Ids,
    by_width,
    groups,
    widths_for,
)
from t5x_lite.inference.ensemble import Ensemble, Networks
from t5x_lite.inference.generate import EXAMPLE_INDEX, Generated, make_generate
from t5x_lite.inference.hidden_states import scorer
from t5x_lite.inference.hidden_states_config import HiddenStatesConfig
from t5x_lite.inference.reading import PLACE, Asked, Reading
from t5x_lite.inference.refill import make_refill
from t5x_lite.inference.wishes import NO_WISHES, Wishes
from t5x_lite.model import transformer
from t5x_lite.partitioning.partitioner import Partitioner

# Told how many examples are done, and how many tokens were written for them.
Report = Callable[[int, int], None]
# What is read of some examples, named by their places, at this width in a batch of so many rows.
FeaturesOf = Callable[[int, Sequence[int], int], dict[str, np.ndarray]]


class Engine:
    """Parameters of the members of an ensemble (often of one) and the compiled functions. On a CPU
    the first `generate` makes a copy of them that is laid out as decoding reads it fastest.
    """

    def __init__(
        self,
        models: Ensemble,
        parameters: Sequence[Any],
        partitioner: Partitioner,
        *,
        first_sentinel: int | None = None,
    ):
        self.models, self.partitioner = models, partitioner
        self.parameters = tuple(parameters)
        self.first_sentinel = first_sentinel
        self.layout = models.layout
        self.special = models.members[0].special
        self._reading = Reading(models.members[0])
        self._shardings = jax.tree.map(lambda leaf: leaf.sharding, self.parameters)
        self._compiled: dict[Any, Any] = {}
        self._networks: Networks | None = None

    def with_parameters(self, parameters: Sequence[Any]) -> "Engine":
        """The same compiled functions for other parameters, such as those of a run that goes on."""
        other = copy.copy(self)
        other.parameters = tuple(parameters)
        other._networks = None
        return other

    def generate(
        self,
        prompts: Sequence[Ids],
        decoding: DecodingConfig,
        *,
        batch_size: int,
        widths: Sequence[int] | None = None,
        first_index: int = 0,
        index_step: int = 1,
        wishes: Wishes = NO_WISHES,
        report: Report | None = None,
    ) -> list[Generated]:
        """Answers `prompts`, which end as `PromptConfig` says.

        Args:
            batch_size: rows that are run together, rounded up to what the devices divide; what is
                more than they is answered in pools of as many.
            widths: of the pools, the last as wide as the longest prompt: a job that calls this for
                its parts has few programs by naming the `widths` of the whole.
            first_index, index_step: the numbers of the prompts among all examples, which decide
                what sampling draws.
            wishes: of each prompt.
        """
        fitting.check_writes(self.models.members[0])
        for member in self.models.members:
            fitting.check_fits(member, decoding)
            fitting.check_lengths_told(member, wishes.lengths)
        wishes.check(decoding, len(prompts))
        lengths = [len(prompt) for prompt in prompts]
        self._check_length(max(lengths, default=0), decoding.max_decode_length)
        widths = widths or self.widths(lengths, batch_size)
        found: dict[int, Generated] = {}
        written = 0

        def features_of(width: int, places: Sequence[int], rows: int) -> dict[str, np.ndarray]:
            group = Group(tuple(places), rows, width)
            index = np.full(rows, -1, np.int32)
            index[: len(places)] = first_index + index_step * np.array(places, np.int32)
            features = self._reading.prompts([prompts[place] for place in places], group)
            own = wishes.features(places, rows, decoding)
            return {**features, EXAMPLE_INDEX: index, **own}

        # Whole targets end together.
        if widths is None or decoding.strategy.refines:
            answers = self._in_batches(lengths, decoding, batch_size, features_of)
        else:
            own = wishes.names
            answers = self._in_pools(lengths, decoding, batch_size, widths, features_of, own)
        for several in answers:
            found |= several
            written += sum(each.num_tokens for each in several.values())
            if report is not None:
                report(len(found), written)
        return [found[place] for place in range(len(prompts))]

    def widths(self, lengths: Sequence[int], batch_size: int) -> tuple[int, ...] | None:
        """Those of the pools that answer prompts of these lengths, or None where one batch does."""
        rows = self.partitioner.filled_batch_size(batch_size)
        return widths_for(lengths) if len(lengths) > rows else None

    def _in_batches(
        self,
        lengths: Sequence[int],
        decoding: DecodingConfig,
        batch_size: int,
        features_of: FeaturesOf,
    ) -> Iterator[dict[int, Generated]]:
        """Each place with its outputs, from batches that begin and end together."""
        given, shardings = self._decoder()
        run = self._once(("generate", decoding), lambda: self._make_generate(decoding, shardings))
        for group in self._groups(lengths, batch_size):
            decoded = self._run(run, features_of(group.width, group.places, group.rows), given)
            yield self._generated(group.places, range(group.rows), decoded)

    def _in_pools(
        self,
        lengths: Sequence[int],
        decoding: DecodingConfig,
        batch_size: int,
        widths: Sequence[int],
        features_of: FeaturesOf,
        wished: tuple[str, ...],
    ) -> Iterator[dict[int, Generated]]:
        """The same, from a pool of each width."""
        given, shardings = self._decoder()
        rows = self.partitioner.filled_batch_size(batch_size)
        for width, places in by_width(lengths, widths):
            prompts_of = functools.partial(features_of, width)
            make = functools.partial(
                make_refill,
                self.models,
                decoding,
                partitioner=self.partitioner,
                given=given,
                shardings=shardings,
                first_sentinel=self.first_sentinel,
                batch_size=rows,
                prompts_of=prompts_of,
            )
            refill = self._once(("refill", decoding, rows, width, wished), make)
            for ended in refill.answers(places, prompts_of, self.partitioner.place_batch, given):
                yield self._generated(*ended)

    def _generated(
        self, places: Sequence[int], rows: Sequence[int], decoded: Decoded
    ) -> dict[int, Generated]:
        """The outputs for examples that stand in these rows."""
        tokens, log_probs, scores = map(np.asarray, decoded)
        return {
            place: Generated(tokens[row], log_probs[row], scores[row], self.special.end)
            for place, row in zip(places, rows, strict=False)
        }

    def lower_generate(
        self, decoding: DecodingConfig, *, batch_size: int, width: int
    ) -> jax.stages.Lowered:
        """The program that `generate` runs for a batch of prompts of this width; parameters may be
        abstract, and the devices elsewhere.
        """
        fitting.check_writes(self.models.members[0])
        self._check_length(width, decoding.max_decode_length)
        rows = self.partitioner.filled_batch_size(batch_size)
        features = self._reading.prompts([], Group((), rows, width))
        features |= {EXAMPLE_INDEX: np.full(rows, -1, np.int32)}
        generate = self._make_generate(decoding, self._shardings)
        return generate.lower(self.parameters, self._abstract(features))

    def score(
        self,
        inputs: Sequence[Ids],
        targets: Sequence[Ids],
        *,
        batch_size: int,
        hidden_states: HiddenStatesConfig | None = None,
        report: Report | None = None,
    ) -> list[Float32[np.ndarray, " _length"]]:
        """The log-probability of each token of each target, given its input.

        Args:
            hidden_states: how what the model remembers is optimised while it reads; texts may then
                be of any length.

        Raises:
            UserError: the model is an encoder alone or a denoiser, or has too few positions; or it
                cannot read as `hidden_states` say.
        """
        fitting.check_writes(self.models.members[0])
        for member in self.models.members:
            fitting.check_scores(member)
        results: list[np.ndarray | None] = [None] * len(inputs)
        log_probs_of = scorer(self.models, hidden_states)
        run = self._once(("score", hidden_states), lambda: self._jit(log_probs_of))
        pairs = list(zip(inputs, targets, strict=True))
        lengths = [max(len(i), len(t)) for i, t in pairs]
        if self.layout is not Layout.ENCODER_DECODER:
            lengths = [len(i) + len(t) for i, t in pairs]
            if hidden_states is None:
                self._check_length(max(lengths, default=0), 0)
        for group in self._reported(lengths, batch_size, report):
            starts, features = self._reading.examples(
                [inputs[place] for place in group.places],
                [targets[place] for place in group.places],
                group,
            )
            log_probs = self._run(run, features)
            for row, place in enumerate(group.places):
                results[place] = log_probs[row, starts[row] :][: len(targets[place])]
        return [result for result in results if result is not None]

    def encode(
        self,
        inputs: Sequence[Ids],
        *,
        batch_size: int,
        mean: bool,
        report: Report | None = None,
    ) -> list[Float32[np.ndarray, "..."]]:
        """The last hidden states of each input, the encoder's or without one the decoder's:
        [length, embed], or their mean over the tokens.
        """
        if self.layout is not Layout.ENCODER_DECODER:
            self._check_length(max(map(len, inputs), default=0), 0)
        results: list[np.ndarray | None] = [None] * len(inputs)
        own = self.models.mean if mean else self.models.encode
        run = self._once(("encode", mean), lambda: self._jit(own))
        for group in self._reported([len(ids) for ids in inputs], batch_size, report):
            starts, features = self._reading.inputs(
                [inputs[place] for place in group.places], group
            )
            hidden = self._run(run, features)
            for row, place in enumerate(group.places):
                kept = hidden[row] if mean else hidden[row, starts[row] :][: len(inputs[place])]
                results[place] = kept
        return [result for result in results if result is not None]

    def tell(
        self,
        asked: Sequence[Asked],
        what: str,
        *,
        batch_size: int,
        report: Report | None = None,
    ) -> list[Float32[np.ndarray, "..."]]:
        """What an encoder alone tells of one place of each text, or, where none has a place, of all
        of its tokens ([length, outputs]): the outputs of the head `what`, or the hidden state
        ("encoder"), or what the pooler makes of that ("pooled").

        Raises:
            UserError: the model is another one, has no such head or pooler, or too few positions.
        """
        if self.layout is not Layout.ENCODER:
            raise UserError(f"{what!r} is told by an encoder alone; needed is such a model.")
        lengths = [len(each.framed.ids) for each in asked]
        self._check_length(max(lengths, default=0), 0)
        run = self._once(
            ("tell", what), lambda: self._jit(functools.partial(self.models.tell, what))
        )
        results: dict[int, np.ndarray] = {}
        for group in self._reported(lengths, batch_size, report):
            own = [asked[place] for place in group.places]
            told = self._run(run, self._reading.asked(own, group))
            for number, row in zip(group.places, told, strict=False):
                has_place = asked[number].place is not None
                results[number] = row[0] if has_place else row[: lengths[number]]
        return [results[number] for number in range(len(asked))]

    def lower_tell(
        self, what: str, *, of_each_token: bool, batch_size: int, width: int
    ) -> jax.stages.Lowered:
        """The program that `tell` runs for a batch of texts of this width; parameters may be
        abstract, and the devices elsewhere.
        """
        self._check_length(width, 0)
        rows = self.partitioner.filled_batch_size(batch_size)
        places = {} if of_each_token else {PLACE: np.zeros((rows, 1), np.int32)}
        features = self._reading.asked([], Group((), rows, width)) | places
        tell = self._jit(functools.partial(self.models.tell, what))
        return tell.lower(self.parameters, self._abstract(features))

    def _abstract(self, features: Mapping[str, np.ndarray]) -> dict[str, jax.ShapeDtypeStruct]:
        """Features on the mesh, without their numbers."""
        place = self.partitioner.batch_sharding
        return {
            name: jax.ShapeDtypeStruct(each.shape, each.dtype, sharding=place)
            for name, each in features.items()
        }

    # Compiled functions.

    def _make_generate(self, decoding: DecodingConfig, shardings: Any) -> jax.stages.Wrapped:
        return make_generate(
            self.models,
            decoding,
            partitioner=self.partitioner,
            shardings=shardings,
            first_sentinel=self.first_sentinel,
        )

    def _jit(self, function: Callable) -> jax.stages.Wrapped:
        def placed(parameters: Any, batch: Mapping[str, Array]) -> Array:
            with self.partitioner.activations():
                return function(parameters, batch)

        return jax.jit(
            placed,
            in_shardings=(self._shardings, self.partitioner.batch_sharding),
            out_shardings=self.partitioner.sharding(()),
        )

    def _once(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self._compiled:
            self._compiled[key] = make()
        return self._compiled[key]

    def _decoder(self) -> tuple[Any, Any]:
        """What generation reads, and its shardings: the parameters, or what was made of them once
        for all batches, which lies as it was made.
        """
        with self.partitioner.activations():
            if not transformer.prepares_copies():
                return self.parameters, self._shardings
            if self._networks is None:
                prepare = self._once("prepare", lambda: jax.jit(self._prepare))
                self._networks = prepare(self.parameters)
        return self._networks, None

    def _prepare(self, parameters: Any) -> Networks:
        with self.partitioner.activations():
            return self.models.prepare(parameters)

    def _run(
        self, function: Callable, features: Mapping[str, np.ndarray], given: Any = None
    ) -> Any:
        placed = self.partitioner.place_batch(features)
        given = self.parameters if given is None else given
        return jax.tree.map(np.asarray, function(given, placed))

    def _groups(self, lengths: Sequence[int], batch_size: int) -> Iterator[Group]:
        rows = self.partitioner.filled_batch_size(batch_size)
        pieces = self.partitioner.data_axis_size
        return groups(lengths, batch_size=rows, rows_divide_by=pieces)

    def _reported(
        self, lengths: Sequence[int], batch_size: int, report: Report | None
    ) -> Iterator[Group]:
        done = 0
        for group in self._groups(lengths, batch_size):
            yield group
            done += len(group.places)
            if report is not None:
                report(done, 0)

    def _check_length(self, read: int, written: int) -> None:
        """Refuses what a model of one stack with learned positions has no positions for."""
        bounds = [member.max_length for member in self.models.members]
        longest = min((bound for bound in bounds if bound is not None), default=None)
        needed = len(self._reading.ahead(())) + read + written
        if self.layout is not Layout.ENCODER_DECODER and longest is not None and needed > longest:
            raise UserError(
                f"{read} tokens to read and {written} to write need {needed} positions, and the "
                f"model has learned {longest}: give shorter inputs, or a smaller "
                "max_decode_length (--gin.MAX_DECODE_LENGTH)."
            )
