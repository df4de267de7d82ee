"""What models read of token ids: the features of a batch, in each layout."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32

from t5x_lite.features.layouts import Layout
from t5x_lite.inference.batching import Group, Ids, bucket, padded
from t5x_lite.model.config import ModelConfig
from t5x_lite.text.template import Framed

# 1 where a row has a token of the inputs themselves.
IS_INPUT = "is_input"
# The position of each row that something is asked of.
PLACE = "place"


class Asked(NamedTuple):
    """A text, a place of it that something is asked of (None is each), and those of tokens to be
    found.
    """

    framed: Framed
    place: int | None
    hidden: Sequence[int] = ()


def told_of_each(
    tell: Callable[[Sequence[Asked]], Sequence[Float32[np.ndarray, "..."]]],
    asked: Sequence[Sequence[Asked]],
) -> list[list[Float32[np.ndarray, "..."]]]:
    """What `tell` gives of all that is asked, by the examples that it is asked of."""
    outputs = iter(tell([one for own in asked for one in own]))
    return [list(itertools.islice(outputs, len(own))) for own in asked]


@dataclasses.dataclass(frozen=True)
class Reading:
    """How a model, or each member of an ensemble, reads."""

    model: ModelConfig

    @property
    def has_encoder(self) -> bool:
        """Whether inputs are read apart, by an encoder."""
        return self.model.encoder is not None

    @property
    def _room(self) -> list[int]:
        """What is put where the learned prompt will stand."""
        return [self.model.special.padding] * self.model.prompt_length

    def ahead(self, inputs: Ids) -> list[int]:
        """What a language model reads before these inputs."""
        model = self.model
        if self.has_encoder:
            return []
        starts = model.prompts.start_token or model.prompt_length or not len(inputs)
        return [self.model.special.start, *self._room] if starts else []

    def _padded(
        self, rows: Sequence[Ids], group: Group, width: int
    ) -> tuple[Int32[np.ndarray, "rows width"], Int32[np.ndarray, "rows width"]]:
        return padded(rows, rows=group.rows, width=width, special=self.model.special)

    def prompts(self, rows: Sequence[Ids], group: Group) -> dict[str, np.ndarray]:
        """What decoding begins with; the start token is the model's own affair."""
        rows = [_joined(self._room, row[: group.width]) for row in rows]
        tokens, segments = self._padded(rows, group, group.width + len(self._room))
        if self.has_encoder:
            return {"encoder_input_tokens": tokens, "encoder_segment_ids": segments}
        return {"decoder_prefix_tokens": tokens, "decoder_prefix_segment_ids": segments}

    def inputs(self, rows: Sequence[Ids], group: Group) -> tuple[list[int], dict[str, np.ndarray]]:
        """Where the inputs begin in each row, and a batch that has nothing else."""
        if self.has_encoder:
            starts, features = [len(self._room)] * len(rows), self.prompts(rows, group)
            segments = features["encoder_segment_ids"]
        else:
            ahead = [self.ahead(row) for row in rows]
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
        return starts, features | {IS_INPUT: np.where(index >= first, segments, 0)}

    def asked(self, rows: Sequence[Asked], group: Group) -> dict[str, np.ndarray]:
        """What an encoder alone reads of texts with what stands around them, and the place of each,
        if they have one. One of two streams knows of what is hidden only where it stands.
        """
        features = self.prompts([row.framed.ids for row in rows], group)
        types, hidden = (np.zeros_like(features["encoder_input_tokens"]) for _ in range(2))
        for number, row in enumerate(rows):
            types[number, : len(row.framed.token_types)] = row.framed.token_types
            hidden[number, list(row.hidden)] = 1
        if self.model.top.two_streams and hidden.any():
            features |= {"encoder_order": 1 + hidden, "encoder_loss_weights": hidden}
        places = [row.place for row in rows if row.place is not None]
        if places:
            place = np.zeros((group.rows, 1), np.int32)
            place[: len(rows), 0] = places
            features[PLACE] = place
        return features | {"encoder_token_types": types}

    def examples(
        self, inputs: Sequence[Ids], targets: Sequence[Ids], group: Group
    ) -> tuple[list[int], dict[str, np.ndarray]]:
        """Where in each decoder row its targets begin, and the batch of given targets."""
        if self.has_encoder:
            # Targets are often far shorter than inputs, and the head is the dearest product.
            features, width = self.prompts(inputs, group), bucket(max(map(len, targets)))
            read = [_joined([self.model.special.start], target) for target in targets]
            starts = [0] * len(targets)
        else:
            pairs = list(zip(inputs, targets, strict=True))
            features, width = {}, group.width + len(self._room)
            read = [_joined(self.ahead(given), given, target) for given, target in pairs]
            starts = [len(self.ahead(given)) + len(given) - 1 for given in inputs]
        tokens, segments = self._padded([row[1:] for row in read], group, width)
        features["decoder_target_tokens"], features["decoder_segment_ids"] = tokens, segments
        features["decoder_input_tokens"] = self._padded([row[:-1] for row in read], group, width)[0]
        if self.model.layout is Layout.PREFIX_LM:
            # The position that scores the first target sees the whole prefix and is seen by it.
            ends = np.zeros((group.rows, 1), np.int32)
            ends[: len(starts), 0] = starts
            positions = np.arange(width, dtype=np.int32)[None, :]
            features["decoder_causal_attention"] = (positions <= ends).astype(np.int32)
        return starts, features


def _joined(*parts: Ids) -> Int32[np.ndarray, " _length"]:
    return np.concatenate([np.asarray(part, np.int32) for part in parts])
