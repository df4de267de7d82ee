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
"""

import dataclasses
import enum
from collections.abc import Collection, Mapping

from t5x_lite.features.config import PromptConfig, SpecialTokens


class Layout(enum.Enum):
    """How `inputs` and `targets` become a model's features.

    An encoder-decoder reads them apart; an LM reads inputs and targets one after the other and is
    trained on both; a prefix LM reads the same, sees all of the inputs and is trained on targets.
    """

    ENCODER_DECODER = "encoder_decoder"
    LM = "lm"
    PREFIX_LM = "prefix_lm"


class Content(enum.Enum):
    """What stands at each position: see the example above. SHIFTED are the tokens behind a start
    token, so that each is predicted from those before it.
    """

    TOKENS = enum.auto()
    SHIFTED = enum.auto()
    SEGMENT_IDS = enum.auto()
    POSITIONS = enum.auto()
    LOSS_WEIGHTS = enum.auto()
    CAUSAL_ATTENTION = enum.auto()


@dataclasses.dataclass(frozen=True)
class ModelFeature:
    """A feature [rows, length] of the batches of a layout."""

    name: str
    of: tuple[str, ...]
    content: Content
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


@dataclasses.dataclass(frozen=True)
class LayoutRow:
    """The model features of a layout, the task features it can do without, and whether the loss of
    joined inputs and targets is on the targets only, if nobody says.
    """

    features: tuple[ModelFeature, ...]
    optional: Collection[str] = ()
    loss_on_targets_only: bool = False

    def named(self, content: Content) -> dict[str, str]:
        """Of each sequence the model feature with this content, if it has one."""
        return {each.sequence: each.name for each in self.features if each.content is content}

    def shapes(
        self, rows: int, lengths: Mapping[str, int], room: int = 0
    ) -> dict[str, tuple[int, int]]:
        """The batch before any is read: (rows, length) of each model feature, see `length`."""
        return {each.name: (rows, each.length(lengths, room)) for each in self.features}


def front(task_features: Collection[str]) -> str:
    """The feature that is read first, which has room for a prompt in front."""
    return "inputs" if "inputs" in task_features else "targets"


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

LAYOUTS = {
    Layout.ENCODER_DECODER: LayoutRow((*_encoder(_INPUTS), *_decoder(_TARGETS))),
    Layout.LM: LayoutRow(_decoder(_JOINED), optional=_INPUTS),
    Layout.PREFIX_LM: LayoutRow((*_decoder(_JOINED), _PREFIX), loss_on_targets_only=True),
}


@dataclasses.dataclass(frozen=True)
class ModelFeatures:
    """What the batches of a model are made of: all that its data has to know of it. `max_length` is
    how long an example may be at most, where positions are learned.
    """

    layout: Layout
    special: SpecialTokens = dataclasses.field(default_factory=SpecialTokens)
    prompts: PromptConfig = dataclasses.field(default_factory=PromptConfig)
    max_length: int | None = None

    @property
    def row(self) -> LayoutRow:
        """The layout's."""
        return LAYOUTS[self.layout]
