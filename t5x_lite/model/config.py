"""What a Transformer is, as frozen values: no JAX here, so a gin file is checked before JAX loads.

One Transformer covers every architecture of Raffel et al. (2020), section 3.2; these rows choose:

| architecture    | encoder   | decoder                    | sharing         |
|-----------------|-----------|----------------------------|-----------------|
| encoder-decoder | full      | causal, cross-attention    | none            |
| shared          | full      | causal, cross-attention    | encoder_decoder |
| half depth      | full, L/2 | causal, cross-attention L/2| none            |
| LM              | -         | causal                     | none            |
| prefix LM       | -         | prefix                     | none            |
"""

import dataclasses
import difflib
from typing import Any

from t5x_lite.bounds import (
    BELOW_ONE,
    FINITE,
    MAX_LAYERS,
    MAX_LENGTH,
    MAX_VOCABULARY,
    MAX_WIDTH,
    POSITIVE,
    check_bounds,
)
from t5x_lite.errors import UserError
from t5x_lite.features.config import PromptConfig, SpecialTokens
from t5x_lite.features.layouts import Layout, ModelFeatures
from t5x_lite.model.choices import (
    ACTIVATIONS,
    KERNELS,
    RESIDUALS,
    InitScheme,
    NormKind,
    Sharing,
    Visibility,
    Weights,
)
from t5x_lite.model.compute_config import ComputeConfig
from t5x_lite.model.positions_config import LearnedPositionsConfig, RelativeBiasConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class NormConfig:
    """How a sub-layer's input is normalized: T5's RMS norm or a layer norm, which also subtracts
    the mean and has a bias.
    """

    kind: NormKind = NormKind.RMS
    epsilon: float = 1e-6

    def __post_init__(self) -> None:
        check_bounds(self, epsilon=(POSITIVE, FINITE))


@dataclasses.dataclass(frozen=True, kw_only=True)
class InitConfig:
    """How parameters begin. T5 draws each kernel by its fan-in and token vectors with a deviation
    of 1; NORMAL draws all with `stddev` (GPT-2, BERT), learned positions with `positions_stddev`,
    and with `scale_residual` kernels that end a residual sub-layer are divided by the root of the
    number of those sub-layers (Radford et al. 2019, section 2.3; OpenAI's code does not).
    """

    scheme: InitScheme = InitScheme.T5
    stddev: float = 0.02
    positions_stddev: float = 0.01
    scale_residual: bool = True

    def __post_init__(self) -> None:
        check_bounds(self, stddev=(POSITIVE, FINITE), positions_stddev=(POSITIVE, FINITE))


@dataclasses.dataclass(frozen=True, kw_only=True)
class AttentionConfig:
    """Multi-head attention; joined_kv = num_heads * head_dim. `bias` gives all four projections a
    bias. With `scale` logits are divided by the root of head_dim; T5 has that in its
    initialization of the queries, so that dividing again would break its checkpoints.
    """

    num_heads: int
    head_dim: int
    bias: bool = False
    scale: bool = False

    def __post_init__(self) -> None:
        check_bounds(self, num_heads=(1, MAX_WIDTH), head_dim=(1, MAX_WIDTH))


@dataclasses.dataclass(frozen=True, kw_only=True)
class MLPConfig:
    """Feed-forward sub-layer; two activations make a gated unit (v1.1: gelu times linear)."""

    mlp_dim: int
    activations: tuple[str, ...] = ("relu",)
    bias: bool = False

    def __post_init__(self) -> None:
        check_bounds(self, mlp_dim=(1, MAX_WIDTH))
        for name in self.activations:
            if name not in ACTIVATIONS:
                nearest = difflib.get_close_matches(name, ACTIVATIONS, n=1, cutoff=0.0)[0]
                raise UserError(
                    f"activations={self.activations}: {name!r} is unknown, the nearest is "
                    f"{nearest!r}; all are {', '.join(ACTIVATIONS)}: "
                    "--gin.MLPConfig.activations=..."
                )
        if not self.activations:
            raise UserError("activations=(): needed is one, or several that are multiplied.")

    @property
    def inward_names(self) -> tuple[str, ...]:
        """T5X's names of the kernels into the hidden units: `wi` alone, `wi_0` and `wi_1`."""
        count = len(self.activations)
        return ("wi",) if count == 1 else tuple(f"wi_{i}" for i in range(count))


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """A low-rank term beside kernels (Hu et al. 2021): y = x W + alpha / rank * dropout(x) A B.

    `targets` are names of kernels: query, key, value and out of every attention, wi (or wi_0 and
    wi_1) and wo of the feed-forward sub-layer.
    """

    rank: int = 8
    alpha: float | int = 16
    targets: tuple[str, ...] = ("query", "value")
    dropout_rate: float = 0.0

    def __post_init__(self) -> None:
        for name in self.targets:
            if name not in KERNELS:
                nearest = difflib.get_close_matches(name, KERNELS, n=1, cutoff=0.0)[0]
                raise UserError(
                    f"targets={self.targets}: {name!r} is no kernel, the nearest is {nearest!r}; "
                    f"all are {', '.join(KERNELS)}: --gin.LORA_TARGETS=..."
                )
        check_bounds(
            self, rank=(1, MAX_WIDTH), alpha=(-FINITE, FINITE), dropout_rate=(0.0, BELOW_ONE)
        )
        if not self.targets:
            raise UserError("targets=(): needed is a kernel: --gin.LORA_TARGETS=...")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlockConfig:
    """One layer: self-attention, cross-attention if asked for, feed-forward.

    `adapter_dim` is the inner width of an adapter after the feed-forward sub-layer (Raffel et al.
    2020, section 3.5.1); None has none.
    """

    attention: AttentionConfig
    mlp: MLPConfig
    norm: NormConfig = dataclasses.field(default_factory=NormConfig)
    cross_attention: bool = False
    adapter_dim: int | None = None
    lora: LoraConfig | None = dataclasses.field(default=None, metadata={"built_if_bound": True})

    def __post_init__(self) -> None:
        check_bounds(self, adapter_dim=(1, MAX_WIDTH))
        if self.lora is not None and (unknown := set(self.lora.targets) - set(self.kernels)):
            raise UserError(
                f"targets={self.lora.targets} of LoRA: a layer with activations="
                f"{self.mlp.activations} has no {', '.join(sorted(unknown))}; it has "
                f"{', '.join(self.kernels)}: --gin.LORA_TARGETS=..."
            )

    @property
    def kernels(self) -> tuple[str, ...]:
        """Names of the kernels that LoRA may target."""
        return ("query", "key", "value", "out", *self.mlp.inward_names, "wo")


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
    """

    num_layers: int
    visibility: Visibility
    block: BlockConfig
    positions: RelativeBiasConfig | LearnedPositionsConfig = dataclasses.field(
        metadata={"built_unless_bound": RelativeBiasConfig, "formerly": "relative_bias"}
    )
    layers_divisor: int = 1
    window: int | None = None
    window_every: int = 1

    def __post_init__(self) -> None:
        check_bounds(
            self,
            num_layers=(1, MAX_LAYERS),
            layers_divisor=(1, MAX_LAYERS),
            window=(1, MAX_LENGTH),
            window_every=(1, MAX_LAYERS),
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

    @property
    def depth(self) -> int:
        """Number of layers the stack really has."""
        return self.num_layers // self.layers_divisor

    @property
    def num_local(self) -> int:
        """Number of layers in which the window holds."""
        return 0 if self.window is None else self.depth // self.window_every

    @property
    def num_residual(self) -> int:
        """Number of sub-layers that add to the residual stream."""
        return self.depth * (3 if self.block.cross_attention else 2)

    @property
    def relative_bias(self) -> RelativeBiasConfig | None:
        """The buckets of a stack whose positions are relative."""
        return self.positions if isinstance(self.positions, RelativeBiasConfig) else None

    @property
    def position_table(self) -> str | None:
        """The module of the stack whose table tells positions; None if layers have their own."""
        if isinstance(self.positions, LearnedPositionsConfig):
            return "position_embedder"
        return None if self.positions.per_layer else "relpos_bias"

    @property
    def max_length(self) -> int | None:
        """The longest sequence, where positions are learned; None has no bound."""
        if isinstance(self.positions, LearnedPositionsConfig):
            return self.positions.max_length
        return None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A Transformer. `logits_via_embedding` ties the head to the embedding; `scale_logits`
    multiplies the last hidden state by embed_dim ** -0.5 before the head: T5 v1.0 does both, v1.1
    neither. They are two fields because every port that made them one got some checkpoint wrong.
    `prompt_length` learned vectors stand in front of the inputs (Lester et al. 2021). A model whose
    `weights` are int8 is for inference: nothing trains it.
    """

    vocab_size: int
    embed_dim: int
    decoder: StackConfig
    encoder: StackConfig | None = None
    sharing: Sharing = Sharing.NONE
    logits_via_embedding: bool = True
    scale_logits: bool = True
    dropout_rate: float = 0.1
    dropout_shared_along_length: bool = True
    prompt_length: int = 0
    weights: Weights = Weights.FLOAT32
    special: SpecialTokens = dataclasses.field(default_factory=SpecialTokens)
    prompts: PromptConfig = dataclasses.field(default_factory=PromptConfig)
    init: InitConfig = dataclasses.field(default_factory=InitConfig)
    compute: ComputeConfig = dataclasses.field(default_factory=ComputeConfig)

    def __post_init__(self) -> None:
        check_bounds(
            self,
            vocab_size=(1, MAX_VOCABULARY),
            embed_dim=(1, MAX_WIDTH),
            dropout_rate=(0.0, BELOW_ONE),
            prompt_length=(0, MAX_LENGTH),
        )
        if self.encoder is not None and self.encoder.block.cross_attention:
            raise UserError(
                "encoder.block.cross_attention=True: an encoder has nothing to attend to but its "
                "own input; needed is False: --gin.encoder/BlockConfig.cross_attention=False."
            )
        if (self.encoder is not None) != self.decoder.block.cross_attention:
            raise UserError(
                f"encoder={'present' if self.encoder else 'None'} but "
                f"decoder.block.cross_attention={self.decoder.block.cross_attention}: a decoder "
                "has cross-attention exactly when there is an encoder to attend to."
            )
        if self.sharing is Sharing.ENCODER_DECODER:
            self._check_sharing()
        self._check_residuals()

    def _check_residuals(self) -> None:
        known = (*self.decoder.block.kernels, *RESIDUALS)
        for field, names in self.compute.named.items():
            for name in names:
                if name not in known:
                    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
                    raise UserError(
                        f"{field}={names}: a layer computes no {name!r}, the nearest is "
                        f"{nearest!r}; all are {', '.join(known)}: --gin.ComputeConfig.{field}=..."
                    )

    def _check_sharing(self) -> None:
        encoder, decoder = self.encoder, self.decoder
        if encoder is None:
            raise UserError("sharing='encoder_decoder' needs an encoder; encoder is None.")
        same = (
            encoder.depth == decoder.depth
            and encoder.block.attention == decoder.block.attention
            and encoder.block.mlp == decoder.block.mlp
            and encoder.block.norm == decoder.block.norm
            and encoder.block.adapter_dim == decoder.block.adapter_dim
            and encoder.block.lora == decoder.block.lora
            and _tables(encoder.positions) == _tables(decoder.positions)
        )
        if not same:
            raise UserError(
                "sharing='encoder_decoder' needs the same depth, attention, mlp, norm, adapter, "
                "LoRA and position tables in both stacks; given "
                f"encoder={encoder} decoder={decoder}."
            )

    @property
    def layout(self) -> Layout:
        """Encoder-decoder models read inputs and targets apart, the others one concatenation."""
        if self.encoder is not None:
            return Layout.ENCODER_DECODER
        prefix = self.decoder.visibility is Visibility.PREFIX
        return Layout.PREFIX_LM if prefix else Layout.LM

    @property
    def features(self) -> ModelFeatures:
        """What its batches are made of."""
        return ModelFeatures(self.layout, self.special, self.prompts, self.decoder.max_length)

    @property
    def head_is_separate(self) -> bool:
        """Whether there is a `logits_dense` kernel."""
        return not self.logits_via_embedding

    @property
    def plain(self) -> "ModelConfig":
        """The model that is pre-trained, without what fine-tuning adds to it."""
        return dataclasses.replace(self, prompt_length=0).with_blocks(adapter_dim=None, lora=None)

    def with_blocks(self, **fields: Any) -> "ModelConfig":
        """The model with these fields in the layers of both stacks."""

        def of_stack(stack: StackConfig) -> StackConfig:
            return dataclasses.replace(stack, block=dataclasses.replace(stack.block, **fields))

        encoder = None if self.encoder is None else of_stack(self.encoder)
        return dataclasses.replace(self, encoder=encoder, decoder=of_stack(self.decoder))


def _tables(positions: RelativeBiasConfig | LearnedPositionsConfig) -> object:
    """What of positions is a parameter: stacks that share one may read it by two rules."""
    if isinstance(positions, RelativeBiasConfig):
        return positions.num_buckets, positions.per_layer
    return positions
