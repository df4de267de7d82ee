"""What a model of each architecture is fed: one table, which converters and checks read.

A model feature is made of the task features `of`, one after the other where there are several, and
is as long as they are together. The names and what stands in them are SeqIO's. Inputs 11 12 1 and
targets 21 1, of lengths 4 and 3, in PREFIX_LM:

decoder_target_tokens      11 12  1 21  1  0  0
decoder_input_tokens        0 11 12  1 21  1  0
decoder_segment_ids         1  1  1  1  1  0  0   (which example of its row, 0 is padding)
decoder_positions           0  1  2  3  4  5  6   (within the example)
decoder_causal_attention    1  1  1  1  0  0  0   (the inputs, and what predicts the first target)
decoder_loss_weights        0  0  0  1  1  0  0

An encoder alone (ENCODER) predicts what is aligned with its inputs, or tells of whole examples.
Only `inputs` is needed of a task; the others make features where the task has them:

inputs          encoder_input_tokens, encoder_segment_ids, encoder_positions; with special tokens
token_types     encoder_token_types      of each token; without them all are of type 0
targets         encoder_target_tokens    the true token of each position, also where it is shown
target_weights  encoder_loss_weights     1 where it is to be predicted; without them everywhere
order           encoder_order            the rank of each token where tokens are told in an order of
                their own, from 1 on; equal ones see each other, and 0 is what was read before
classes         encoder_classes          one class of the example, at its first position
values          encoder_values           one number of the example (float32), at its first position
spans           encoder_span_starts, encoder_span_ends: of [first, last] positions in inputs, marked
                with 1; of a span that is cut off neither
"""

import dataclasses
import enum
from collections.abc import Collection, Mapping

from t5x_lite.features.config import PromptConfig, SpecialTokens


class Layout(enum.Enum):
    """How `inputs` and `targets` become a model's features.

    An encoder-decoder reads them apart; an LM reads inputs and targets one after the other and is
    trained on both; a prefix LM reads the same, sees all of the inputs and is trained on targets.
    An encoder alone reads inputs, and all else is aligned with them.
    """

    ENCODER_DECODER = "encoder_decoder"
    LM = "lm"
    PREFIX_LM = "prefix_lm"
    ENCODER = "encoder"


class Content(enum.Enum):
    """What stands at each position: see the example above. SHIFTED are the tokens behind a start
    token, so that each is predicted from those before it. Made of what stands beside the tokens:
    ALIGNED is a value for each of them, FIRST one for an example, at its first position, START and
    END mark the two positions that an example has.
    """

    TOKENS = enum.auto()
    SHIFTED = enum.auto()
    SEGMENT_IDS = enum.auto()
    POSITIONS = enum.auto()
    LOSS_WEIGHTS = enum.auto()
    CAUSAL_ATTENTION = enum.auto()
    ALIGNED = enum.auto()
    FIRST = enum.auto()
    START = enum.auto()
    END = enum.auto()


# How many values of an example are beside its tokens, where it is not one for each.
_COUNTS = {Content.FIRST: 1, Content.START: 2, Content.END: 2}


@dataclasses.dataclass(frozen=True)
class ModelFeature:
    """A feature [rows, length] of the batches of a layout, as long as `of`; `beside` is the task's
    feature whose values it has for the tokens of that, without which it is left out.
    """

    name: str
    of: tuple[str, ...]
    content: Content
    beside: str | None = None
    dtype: str = "int32"

    @property
    def sequence(self) -> str:
        """What its tokens are called where they are packed: the last feature it is made of."""
        return self.of[-1]

    def length(self, lengths: Mapping[str, int], room: int = 0) -> int:
        """How long it is.

        Args:
            lengths: of a task's features.
            room: positions reserved in front of each example, see `front`.
        """
        reserved = room if front(lengths) in self.of else 0
        return sum(lengths[name] for name in self.of if name in lengths) + reserved

    def length_beside(self, lengths: Mapping[str, int]) -> int:
        """How long the feature beside it has to be."""
        return _COUNTS.get(self.content) or self.length(lengths)


@dataclasses.dataclass(frozen=True)
class LayoutRow:
    """The model features of a layout, the task features it can do without (what is beside others it
    always can), and whether the loss of joined inputs and targets is on the targets only, if nobody
    says.
    """

    features: tuple[ModelFeature, ...]
    optional: Collection[str] = ()
    loss_on_targets_only: bool = False

    def made_of(self, task_features: Collection[str]) -> tuple[ModelFeature, ...]:
        """Those that a task with these features has."""
        return tuple(f for f in self.features if f.beside is None or f.beside in task_features)

    @property
    def read(self) -> tuple[str, ...]:
        """The task features that there may be."""
        of = [name for feature in self.features for name in feature.of]
        beside = [feature.beside for feature in self.features if feature.beside is not None]
        return tuple(dict.fromkeys([*of, *beside]))

    @property
    def of_tokens(self) -> tuple[str, ...]:
        """Those that hold tokens, and no other numbers."""
        beside = {f.beside for f in self.features if not f.name.endswith("_tokens")}
        return tuple(name for name in self.read if name not in beside)

    @property
    def needed(self) -> tuple[str, ...]:
        """The task features that there have to be."""
        of = dict.fromkeys(name for feature in self.features for name in feature.of)
        return tuple(name for name in of if name not in self.optional)

    def named(self, content: Content) -> dict[str, str]:
        """Of each sequence the model feature with this content, if it has one."""
        return {each.sequence: each.name for each in self.features if each.content is content}

    def shapes(
        self, rows: int, lengths: Mapping[str, int], room: int = 0
    ) -> dict[str, tuple[int, int]]:
        """The batch before any is read: (rows, length) of each model feature, see `length`."""
        made = self.made_of(lengths)
        return {each.name: (rows, each.length(lengths, room)) for each in made}

    def longest(self, lengths: Mapping[str, int], room: int = 0) -> int:
        """Of the features of a batch the largest length."""
        return max(length for _, length in self.shapes(1, lengths, room).values())


def front(task_features: Collection[str]) -> str:
    """The feature that is read first, which has room for a prompt in front."""
    return "inputs" if "inputs" in task_features else "targets"


def written(task_features: Collection[str]) -> str:
    """The feature in whose vocabulary texts are: the targets, or without them the inputs."""
    return "targets" if "targets" in task_features else "inputs"


_INPUTS, _TARGETS, _JOINED = ("inputs",), ("targets",), ("inputs", "targets")


def _encoder(of: tuple[str, ...]) -> tuple[ModelFeature, ...]:
    return (
        ModelFeature("encoder_input_tokens", of, Content.TOKENS),
        ModelFeature("encoder_segment_ids", of, Content.SEGMENT_IDS),
        ModelFeature("encoder_positions", of, Content.POSITIONS),
    )


def _decoder(of: tuple[str, ...]) -> tuple[ModelFeature, ...]:
    return (
        ModelFeature("decoder_input_tokens", of, Content.SHIFTED),
        ModelFeature("decoder_target_tokens", of, Content.TOKENS),
        ModelFeature("decoder_loss_weights", of, Content.LOSS_WEIGHTS),
        ModelFeature("decoder_segment_ids", of, Content.SEGMENT_IDS),
        ModelFeature("decoder_positions", of, Content.POSITIONS),
    )


_PREFIX = ModelFeature("decoder_causal_attention", _JOINED, Content.CAUSAL_ATTENTION)


def _beside(
    name: str, beside: str, content: Content = Content.ALIGNED, dtype: str = "int32"
) -> ModelFeature:
    return ModelFeature(f"encoder_{name}", _INPUTS, content, beside, dtype)


_BESIDE = (
    _beside("token_types", "token_types"),
    _beside("target_tokens", "targets"),
    _beside("loss_weights", "target_weights"),
    _beside("order", "order"),
    _beside("classes", "classes", Content.FIRST),
    _beside("values", "values", Content.FIRST, "float32"),
    _beside("span_starts", "spans", Content.START),
    _beside("span_ends", "spans", Content.END),
)

LAYOUTS = {
    Layout.ENCODER_DECODER: LayoutRow((*_encoder(_INPUTS), *_decoder(_TARGETS))),
    Layout.LM: LayoutRow(_decoder(_JOINED), optional=_INPUTS),
    Layout.PREFIX_LM: LayoutRow((*_decoder(_JOINED), _PREFIX), loss_on_targets_only=True),
    Layout.ENCODER: LayoutRow((*_encoder(_INPUTS), *_BESIDE)),
}


def layout_of(task_features: Collection[str]) -> Layout:
    """What a task is meant for that is looked at without a model: the first that reads all of its
    features, an encoder-decoder before a language model before an encoder.
    """
    order = (Layout.ENCODER_DECODER, Layout.LM, Layout.ENCODER)
    given = set(task_features)
    reading = (each for each in order if {*LAYOUTS[each].needed} <= given <= {*LAYOUTS[each].read})
    return next(reading, Layout.ENCODER_DECODER if "inputs" in given else Layout.LM)


def predicted_stack(features: Collection[str]) -> str:
    """The stack of a batch's targets: "decoder", or "encoder" where that is alone."""
    return "decoder" if any(name.startswith("decoder_") for name in features) else "encoder"


@dataclasses.dataclass(frozen=True)
class ModelFeatures:
    """What the batches of a model are made of: all that its data has to know of it. `max_length` is
    how long an example may be at most, where positions are learned, `num_classes` how many classes
    its head tells, if it has one.
    """

    layout: Layout
    special: SpecialTokens = dataclasses.field(default_factory=SpecialTokens)
    prompts: PromptConfig = dataclasses.field(default_factory=PromptConfig)
    max_length: int | None = None
    num_classes: int | None = None

    @property
    def row(self) -> LayoutRow:
        """The layout's."""
        return LAYOUTS[self.layout]

    def too_long(self, lengths: Mapping[str, int], room: int) -> int | None:
        """The tokens of a batch's longest rows, if they are more than an example may have."""
        if self.max_length is None or not lengths:
            return None
        longest = self.row.longest(lengths, room)
        return longest if longest > self.max_length else None
