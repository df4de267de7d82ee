"""What a stack of layers is, as a frozen value (no JAX)."""

import dataclasses

from t5x_lite.bounds import MAX_LAYERS, MAX_LENGTH, MAX_WIDTH, check_bounds
from t5x_lite.errors import UserError
from t5x_lite.model.choices import LayerSharing, NormPlace, Visibility
from t5x_lite.model.layer_config import BlockConfig
from t5x_lite.model.positions_config import (
    LearnedPositionsConfig,
    RelativeBiasConfig,
    RelativeKeysConfig,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class StackConfig:
    """`num_layers / layers_divisor` blocks; the divisor is 2 in the paper's half-depth model.
    `positions` is how tokens know where they stand.

    `window` narrows self-attention to keys less than `window` positions away, on either side of
    what `visibility` allows, an input of a prefix LM included; None narrows nothing, and
    cross-attention is never narrowed. A causal stack sees itself and `window - 1` tokens before
    (Jiang et al. 2023, Mistral, section 2), an encoder has LongT5's local radius of `window - 1`
    (Guo et al. 2022, section 3.1). It holds in every `window_every`-th layer, the others see all:
    with 2 layers are dense and banded in turn, the first dense (Brown et al. 2020, section 2.1).

    `token_types` is the number of kinds of tokens that have a learned vector; with `input_norm`
    the sum of all vectors of a token is normalized. `layer_sharing` is what its layers have in
    common. The output of a stack with a norm above it learns with dropout, and with
    `output_dropout` that of any.

    With `two_streams` a batch may say in which order tokens are told (encoder_order): beside what
    each token is, a second stream runs that knows of those to be predicted only where they stand,
    for which it begins with a learned vector (Yang et al. 2019, section 2.3).
    """

    num_layers: int
    visibility: Visibility
    block: BlockConfig
    positions: RelativeBiasConfig | LearnedPositionsConfig | RelativeKeysConfig = dataclasses.field(
        metadata={"built_unless_bound": RelativeBiasConfig, "formerly": "relative_bias"}
    )
    layers_divisor: int = 1
    window: int | None = None
    window_every: int = 1
    token_types: int = 0
    input_norm: bool = False
    layer_sharing: LayerSharing = LayerSharing.NONE
    output_dropout: bool = False
    two_streams: bool = False

    def __post_init__(self) -> None:
        check_bounds(
            self,
            num_layers=(1, MAX_LAYERS),
            layers_divisor=(1, MAX_LAYERS),
            window=(1, MAX_LENGTH),
            window_every=(1, MAX_LAYERS),
            token_types=(0, MAX_WIDTH),
        )
        if self.num_layers % self.layers_divisor:
            raise UserError(
                f"num_layers={self.num_layers} with layers_divisor={self.layers_divisor}: needed "
                "is a number of layers that the divisor divides; choose num_layers as a multiple."
            )
        if self.window is not None and self.window_every > self.depth:
            raise UserError(
                f"window_every={self.window_every} with {self.depth} layers: window={self.window} "
                "would hold in none; needed is a number up to that of the layers, or no window: "
                "--gin.StackConfig.window=None"
            )
        if self.two_streams and self.relative_keys is None:
            raise UserError(
                f"two_streams=True with positions={self.positions}: needed are positions that "
                "layers make keys of, so that a token is told by where it stands alone: "
                "--gin.StackConfig.positions='@RelativeKeysConfig()'"
            )

    @property
    def depth(self) -> int:
        """Number of layers the stack really has."""
        return self.num_layers // self.layers_divisor

    @property
    def num_local(self) -> int:
        """Number of layers in which the window holds."""
        return 0 if self.window is None else self.depth // self.window_every

    @property
    def has_final_norm(self) -> bool:
        """Whether its output is normalized once more: behind sums that are not."""
        return self.block.norm.place is NormPlace.PRE

    @property
    def num_residual(self) -> int:
        """Number of sub-layers that add to the residual stream."""
        return self.depth * (3 if self.block.cross_attention else 2)

    @property
    def relative_bias(self) -> RelativeBiasConfig | None:
        """The buckets of a stack whose positions are relative."""
        return self.positions if isinstance(self.positions, RelativeBiasConfig) else None

    @property
    def relative_keys(self) -> RelativeKeysConfig | None:
        """Those of a stack whose layers make keys of distances."""
        return self.positions if isinstance(self.positions, RelativeKeysConfig) else None

    @property
    def drops_output(self) -> bool:
        """Whether its output learns with dropout."""
        return self.has_final_norm or self.output_dropout

    @property
    def position_table(self) -> str | None:
        """The module of the stack whose table tells positions; None if layers have their own."""
        if isinstance(self.positions, LearnedPositionsConfig):
            return "position_embedder"
        if isinstance(self.positions, RelativeKeysConfig) or self.positions.per_layer:
            return None
        return "relpos_bias"

    @property
    def max_length(self) -> int | None:
        """The longest sequence, where positions are learned; None has no bound."""
        if isinstance(self.positions, LearnedPositionsConfig):
            return self.positions.max_length
        return None
