"""Restored models on a mesh that generate, score and encode lists of token ids.

Every example is answered exactly once and in the order given, whatever the batch, the mesh and the
number of processes. Knows no text and no task, and loads no TensorFlow.
"""

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int32

from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.errors import UserError
from t5x_lite.features.layouts import Layout
from t5x_lite.inference.batching import Group, Ids, bucket, groups, padded
from t5x_lite.inference.ensemble import Ensemble, Networks
from t5x_lite.inference.generate import EXAMPLE_INDEX, make_generate
from t5x_lite.model import transformer
from t5x_lite.partitioning.partitioner import Partitioner

# 1 where a row has a token of the inputs themselves.
_IS_INPUT = "is_input"
# Told how many examples are done.
Report = Callable[[int], None]


@dataclasses.dataclass(frozen=True)
class Generated:
    """The outputs for one example, best first, as `decoding.language_model.Decoded` says."""

    tokens: Int32[np.ndarray, "decodes length"]
    log_probs: Float32[np.ndarray, "decodes"]
    scores: Float32[np.ndarray, "decodes"]
    end: int

    def ids(self, decode: int = 0) -> list[int]:
        """One output, its end token included, without the padding behind it."""
        row = self.tokens[decode].tolist()
        return row[: row.index(self.end) + 1] if self.end in row else row

    def ended(self, decode: int = 0) -> bool:
        """Whether the output has an end token, so was not cut at max_decode_length."""
        return bool((self.tokens[decode] == self.end).any())


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
        self.layout = _common_layout(models)
        self.special = models.members[0].special
        self._shardings = jax.tree.map(lambda leaf: leaf.sharding, self.parameters)
        self._compiled: dict[Any, Callable] = {}
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
        width: int | None = None,
        first_index: int = 0,
        index_step: int = 1,
        report: Report | None = None,
    ) -> list[Generated]:
        """Answers `prompts`, which end as `PromptConfig` says.

        Args:
            batch_size: rows that are run together, rounded up to what the devices divide.
            width: every batch is as wide, longer prompts are cut; None sorts by length.
            first_index, index_step: the numbers of the prompts among all examples, which decide
                what sampling draws.
        """
        longest = max(map(len, prompts), default=0) if width is None else width
        self._check_length(longest, decoding.max_decode_length)
        results: list[Generated | None] = [None] * len(prompts)
        given, shardings = self._decoder()
        run = self._once(("generate", decoding), lambda: self._make_generate(decoding, shardings))
        for group in self._groups([len(prompt) for prompt in prompts], batch_size, width, report):
            features = self._prompts([prompts[place] for place in group.places], group)
            index = np.full(group.rows, -1, np.int32)
            index[: len(group.places)] = first_index + index_step * np.array(group.places)
            decoded = self._run(run, features | {EXAMPLE_INDEX: index}, given)
            for row, place in enumerate(group.places):
                tokens, log_probs, scores = (part[row] for part in decoded)
                results[place] = Generated(tokens, log_probs, scores, self.special.end)
        return [result for result in results if result is not None]

    def lower_generate(
        self, decoding: DecodingConfig, *, batch_size: int, width: int
    ) -> jax.stages.Lowered:
        """The program that `generate` runs for a batch of prompts of this width; parameters may be
        abstract, and the devices elsewhere.
        """
        self._check_length(width, decoding.max_decode_length)
        rows = self.partitioner.filled_batch_size(batch_size)
        features = self._prompts([], Group((), rows, width))
        features |= {EXAMPLE_INDEX: np.full(rows, -1, np.int32)}
        place = self.partitioner.batch_sharding
        abstract = {
            name: jax.ShapeDtypeStruct(each.shape, each.dtype, sharding=place)
            for name, each in features.items()
        }
        return self._make_generate(decoding, self._shardings).lower(self.parameters, abstract)

    def score(
        self,
        inputs: Sequence[Ids],
        targets: Sequence[Ids],
        *,
        batch_size: int,
        report: Report | None = None,
    ) -> list[Float32[np.ndarray, " _length"]]:
        """The log-probability of each token of each target, given its input."""
        results: list[np.ndarray | None] = [None] * len(inputs)
        run = self._once("score", lambda: self._jit(self._log_probs))
        pairs = list(zip(inputs, targets, strict=True))
        lengths = [max(len(i), len(t)) for i, t in pairs]
        if self.layout is not Layout.ENCODER_DECODER:
            lengths = [len(i) + len(t) for i, t in pairs]
            self._check_length(max(lengths, default=0), 0)
        for group in self._groups(lengths, batch_size, None, report):
            starts, features = self._examples(
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
        width: int | None = None,
        report: Report | None = None,
    ) -> list[Float32[np.ndarray, "..."]]:
        """The last hidden states of each input, the encoder's or without one the decoder's:
        [length, embed], or their mean over the tokens.
        """
        if self.layout is not Layout.ENCODER_DECODER:
            self._check_length(max(map(len, inputs), default=0), 0)
        results: list[np.ndarray | None] = [None] * len(inputs)
        run = self._once(
            ("encode", mean), lambda: self._jit(self._pooled if mean else self._encoded)
        )
        for group in self._groups([len(ids) for ids in inputs], batch_size, width, report):
            starts, features = self._inputs([inputs[place] for place in group.places], group)
            hidden = self._run(run, features)
            for row, place in enumerate(group.places):
                kept = hidden[row] if mean else hidden[row, starts[row] :][: len(inputs[place])]
                results[place] = kept
        return [result for result in results if result is not None]

    # Compiled functions.

    def _make_generate(self, decoding: DecodingConfig, shardings: Any) -> jax.stages.Wrapped:
        return make_generate(
            self.models,
            decoding,
            partitioner=self.partitioner,
            shardings=shardings,
            first_sentinel=self.first_sentinel,
        )

    def _log_probs(
        self, parameters: Any, batch: Mapping[str, Array]
    ) -> Float[Array, "batch length"]:
        return self.models.log_probs(parameters, batch)

    def _encoded(
        self, parameters: Any, batch: Mapping[str, Array]
    ) -> Float[Array, "batch length embed"]:
        return self.models.encode(parameters, batch)

    def _pooled(self, parameters: Any, batch: Mapping[str, Array]) -> Float[Array, "batch embed"]:
        is_input = (batch[_IS_INPUT] > 0)[..., None]
        total = jnp.sum(jnp.where(is_input, self._encoded(parameters, batch), 0.0), axis=1)
        return total / jnp.sum(is_input, axis=1)

    def _jit(self, function: Callable) -> Callable:
        def placed(parameters: Any, batch: Mapping[str, Array]) -> Array:
            with self.partitioner.activations():
                return function(parameters, batch)

        return jax.jit(
            placed,
            in_shardings=(self._shardings, self.partitioner.batch_sharding),
            out_shardings=self.partitioner.sharding(()),
        )

    def _once(self, key: Any, make: Callable[[], Callable]) -> Callable:
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

    # Batches.

    def _groups(
        self, lengths: Sequence[int], batch_size: int, width: int | None, report: Report | None
    ) -> Iterator[Group]:
        rows, pieces = (
            self.partitioner.filled_batch_size(batch_size),
            self.partitioner.data_axis_size,
        )
        done = 0
        for group in groups(lengths, batch_size=rows, rows_divide_by=pieces, width=width):
            yield group
            done += len(group.places)
            if report is not None:
                report(done)

    def _check_length(self, read: int, written: int) -> None:
        """Refuses what a language model with learned positions has no positions for."""
        bounds = [member.decoder.max_length for member in self.models.members]
        longest = min((bound for bound in bounds if bound is not None), default=None)
        needed = len(self._ahead(())) + read + written
        if self.layout is not Layout.ENCODER_DECODER and longest is not None and needed > longest:
            raise UserError(
                f"{read} tokens to read and {written} to write need {needed} positions, and the "
                f"model has learned {longest}: give shorter inputs, or a smaller "
                "max_decode_length (--gin.MAX_DECODE_LENGTH)."
            )

    @property
    def _room(self) -> list[int]:
        """What is put where the learned prompt will stand."""
        return [self.special.padding] * self.models.members[0].prompt_length

    def _ahead(self, inputs: Ids) -> list[int]:
        """What a language model reads before these inputs."""
        model = self.models.members[0]
        starts = model.prompts.start_token or model.prompt_length or not len(inputs)
        return [self.special.start, *self._room] if starts else []

    def _padded(
        self, rows: Sequence[Ids], group: Group, width: int
    ) -> tuple[Int32[np.ndarray, "rows width"], Int32[np.ndarray, "rows width"]]:
        return padded(rows, rows=group.rows, width=width, special=self.special)

    def _prompts(self, rows: Sequence[Ids], group: Group) -> dict[str, np.ndarray]:
        """What decoding begins with; the start token is the model's own affair."""
        rows = [_joined(self._room, row[: group.width]) for row in rows]
        tokens, segments = self._padded(rows, group, group.width + len(self._room))
        if self.layout is Layout.ENCODER_DECODER:
            return {"encoder_input_tokens": tokens, "encoder_segment_ids": segments}
        return {"decoder_prefix_tokens": tokens, "decoder_prefix_segment_ids": segments}

    def _inputs(self, rows: Sequence[Ids], group: Group) -> tuple[list[int], dict[str, np.ndarray]]:
        """Where the inputs begin in each row, and a batch that has nothing else."""
        if self.layout is Layout.ENCODER_DECODER:
            starts, features = [len(self._room)] * len(rows), self._prompts(rows, group)
            segments = features["encoder_segment_ids"]
        else:
            ahead = [self._ahead(row) for row in rows]
            starts, width = [len(each) for each in ahead], group.width + len(self._room) + 1
            read = [_joined(front, row) for front, row in zip(ahead, rows, strict=True)]
            tokens, segments = self._padded(read, group, width)
            features = {
                "decoder_input_tokens": tokens,
                "decoder_segment_ids": segments,
                "decoder_causal_attention": segments,
            }
        index = np.arange(segments.shape[1], dtype=np.int32)[None, :]
        first = np.zeros((group.rows, 1), np.int32)
        first[: len(starts), 0] = starts
        return starts, features | {_IS_INPUT: np.where(index >= first, segments, 0)}

    def _examples(
        self, inputs: Sequence[Ids], targets: Sequence[Ids], group: Group
    ) -> tuple[list[int], dict[str, np.ndarray]]:
        """Where in each decoder row its targets begin, and the batch of given targets."""
        if self.layout is Layout.ENCODER_DECODER:
            # Targets are often far shorter than inputs, and the head is the dearest product.
            features, width = self._prompts(inputs, group), bucket(max(map(len, targets)))
            read = [_joined([self.special.start], target) for target in targets]
            starts = [0] * len(targets)
        else:
            pairs = list(zip(inputs, targets, strict=True))
            features, width = {}, group.width + len(self._room)
            read = [_joined(self._ahead(given), given, target) for given, target in pairs]
            starts = [len(self._ahead(given)) + len(given) - 1 for given in inputs]
        tokens, segments = self._padded([row[1:] for row in read], group, width)
        features["decoder_target_tokens"], features["decoder_segment_ids"] = tokens, segments
        features["decoder_input_tokens"] = self._padded([row[:-1] for row in read], group, width)[0]
        if self.layout is Layout.PREFIX_LM:
            # The position that scores the first target sees the whole prefix and is seen by it.
            ends = np.zeros((group.rows, 1), np.int32)
            ends[: len(starts), 0] = starts
            positions = np.arange(width, dtype=np.int32)[None, :]
            features["decoder_causal_attention"] = (positions <= ends).astype(np.int32)
        return starts, features


def _joined(*parts: Ids) -> Int32[np.ndarray, " _length"]:
    return np.concatenate([np.asarray(part, np.int32) for part in parts])


def _common_layout(models: Ensemble) -> Layout:
    for name in ("layout", "vocab_size", "special", "prompt_length"):
        given = dict.fromkeys(getattr(member, name) for member in models.members)
        if len(given) > 1:
            raise UserError(
                "the members of an ensemble must read and write alike; given are "
                f"{name} {list(given)}."
            )
    return models.members[0].layout
