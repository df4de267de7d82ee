"""What a Transformer is, as frozen values: no JAX here, so a gin file is checked before JAX loads.

One Transformer covers every architecture of Raffel et al. (2020), section 3.2; these rows choose:

| architecture    | encoder   | decoder                    | sharing         |
|-----------------|-----------|----------------------------|-----------------|
| encoder-decoder | full      | causal, cross-attention    | none            |
| shared          | full      | causal, cross-attention    | encoder_decoder |
| half depth      | full, L/2 | causal, cross-attention L/2| none            |
| LM              | -         | causal                     | none            |
| prefix LM       | -         | prefix                     | none            |

and two that came later, Devlin et al. (2019) and Ghazvininejad et al. (2019):

| encoder         | full      | -                          | none            |
| denoiser        | full      | full, cross-attention      | none            |
"""

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from typing import Any

from t5x_lite.bounds import BELOW_ONE, MAX_LENGTH, MAX_VOCABULARY, MAX_WIDTH, check_bounds
from t5x_lite.errors import UserError
from t5x_lite.features.config import PromptConfig, SpecialTokens
from t5x_lite.features.layouts import Layout, ModelFeatures
from t5x_lite.model.choices import (
    RESIDUALS,
    AttentionForm,
    ExamplePlace,
    HeadKind,
    InitScheme,
    LayerSharing,
    NormKind,
    NormPlace,
    Sharing,
    Visibility,
    Weights,
)
from t5x_lite.model.compute_config import ComputeConfig
from t5x_lite.model.generator_config import GeneratorConfig, UniformGeneratorConfig
from t5x_lite.model.generator_config import check as check_generator
from t5x_lite.model.head_config import HeadConfig
from t5x_lite.model.layer_config import (
    AttentionConfig,
    BlockConfig,
    InitConfig,
    LoraConfig,
    MLPConfig,
    NormConfig,
)
from t5x_lite.model.positions_config import (
    LearnedPositionsConfig,
    RelativeBiasConfig,
    RelativeKeysConfig,
)
from t5x_lite.model.projections_config import ProjectionsConfig
from t5x_lite.model.quantization_config import QuantizationConfig
from t5x_lite.model.recurrence_config import RecurrenceConfig
from t5x_lite.model.recurrence_config import check as check_recurrence
from t5x_lite.model.stack_config import StackConfig

__all__ = [
    "AttentionConfig",
    "BlockConfig",
    "ExamplePlace",
    "HeadConfig",
    "InitConfig",
    "InitScheme",
    "LayerSharing",
    "LearnedPositionsConfig",
    "LoraConfig",
    "MLPConfig",
    "ModelConfig",
    "NormConfig",
    "NormKind",
    "NormPlace",
    "QuantizationConfig",
    "RecurrenceConfig",
    "RelativeBiasConfig",
    "RelativeKeysConfig",
    "Sharing",
    "StackConfig",
    "Visibility",
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A Transformer. `logits_via_embedding` ties the head to the embedding; `scale_logits`
    multiplies the last hidden state by embed_dim ** -0.5 before the head: T5 v1.0 does both, v1.1
    neither. They are two fields because every port that made them one got some checkpoint wrong.
    `prompt_length` learned vectors stand in front of the inputs (Lester et al. 2021). A model whose
    `weights` are int8 is for inference: nothing trains it; one with `quantization` computes as if
    they were, and is trained so.

    Vectors of tokens, positions and types are `token_dim` wide, if that is not None, and each stack
    makes `embed_dim` of them by a kernel (Lan et al. 2020, section 3.1). `heads` read the decoder's
    hidden states, or without one the encoder's; `pooler` is a dense layer with tanh between them
    and heads of whole examples. Those read at the token `example_place` of each example and tell
    what they read at its first one, wherever it was. A model has either stack or both. A
    `generator` replaces tokens that it reads while it is pre-trained, and is not kept; nor are
    `projections`, by which states of a narrow student are compared with a wider teacher's. With
    `recurrence` a decoder reads texts of any length in windows.
    """

    vocab_size: int
    embed_dim: int
    decoder: StackConfig | None = dataclasses.field(metadata={"built_unless_bound": StackConfig})
    encoder: StackConfig | None = None
    token_dim: int | None = None
    heads: tuple[HeadConfig, ...] = dataclasses.field(
        default=(HeadConfig(),), metadata={"built_unless_bound": HeadConfig}
    )
    pooler: bool = False
    example_place: ExamplePlace = ExamplePlace.FIRST
    generator: GeneratorConfig | UniformGeneratorConfig | None = None
    projections: ProjectionsConfig | None = dataclasses.field(
        default=None, metadata={"built_if_bound": True}
    )
    recurrence: RecurrenceConfig | None = dataclasses.field(
        default=None, metadata={"built_if_bound": True}
    )
    sharing: Sharing = Sharing.NONE
    logits_via_embedding: bool = True
    scale_logits: bool = True
    dropout_rate: float = 0.1
    dropout_shared_along_length: bool = True
    prompt_length: int = 0
    weights: Weights = Weights.FLOAT32
    quantization: QuantizationConfig | None = dataclasses.field(
        default=None, metadata={"built_if_bound": True}
    )
    special: SpecialTokens = dataclasses.field(default_factory=SpecialTokens)
    prompts: PromptConfig = dataclasses.field(default_factory=PromptConfig)
    init: InitConfig = dataclasses.field(default_factory=InitConfig)
    compute: ComputeConfig = dataclasses.field(default_factory=ComputeConfig)

    def __post_init__(self) -> None:
        check_bounds(
            self,
            vocab_size=(1, MAX_VOCABULARY),
            embed_dim=(1, MAX_WIDTH),
            token_dim=(1, MAX_WIDTH),
            dropout_rate=(0.0, BELOW_ONE),
            prompt_length=(0, MAX_LENGTH),
        )
        self._check_stacks()
        if self.sharing is Sharing.ENCODER_DECODER:
            self._check_sharing()
        self._check_heads()
        self._check_form()
        if self.recurrence is not None:
            check_recurrence(
                self.recurrence,
                self.decoder,
                is_alone=self.encoder is None,
                prompt_length=self.prompt_length,
                compute=self.compute,
            )
        self._check_residuals()

    def _check_stacks(self) -> None:
        if self.encoder is not None and self.encoder.block.cross_attention:
            raise UserError(
                "encoder.block.cross_attention=True: an encoder has nothing to attend to but its "
                "own input; needed is False: --gin.encoder/BlockConfig.cross_attention=False."
            )
        if self.decoder is None:
            self._check_encoder_alone()
        elif self.decoder.relative_keys is not None:
            raise UserError(
                f"decoder.positions={self.decoder.positions}: needed are others, for decoding "
                "remembers no keys of distances: --gin.decoder/StackConfig.positions=..."
            )
        elif (self.encoder is not None) != self.decoder.block.cross_attention:
            raise UserError(
                f"encoder={'present' if self.encoder else 'None'} but "
                f"decoder.block.cross_attention={self.decoder.block.cross_attention}: a decoder "
                "has cross-attention exactly when there is an encoder to attend to."
            )

    def _check_encoder_alone(self) -> None:
        if self.encoder is None:
            raise UserError("encoder=None and decoder=None: needed is a stack, or both.")
        if self.encoder.visibility is not Visibility.FULL:
            raise UserError(
                f"encoder.visibility={self.encoder.visibility.value!r} without a decoder: needed "
                "is 'full'; a causal stack by itself is a decoder: --gin.ModelConfig.encoder=None"
            )
        if self.prompt_length:
            raise UserError(
                f"prompt_length={self.prompt_length} without a decoder: needed is 0, for what an "
                "encoder predicts is aligned with its inputs: --gin.PROMPT_LENGTH=0"
            )

    def _check_heads(self) -> None:
        kinds = [head.kind for head in self.heads]
        if len(set(kinds)) < len(kinds):
            raise UserError(
                f"heads of the kinds {', '.join(kind.value for kind in kinds)}: needed is one of a "
                "kind at most."
            )
        tokens = self.head(HeadKind.TOKENS)
        if HeadKind.LENGTH in kinds and not self.denoises:
            raise UserError(
                f"heads={[kind.value for kind in kinds]} of a model that writes token by token, or "
                "nothing: a head of the length is for a decoder that sees all of its positions: "
                "--gin_file=models/architectures/denoiser.gin"
            )
        others = {*kinds} - {HeadKind.TOKENS, HeadKind.LENGTH, HeadKind.ATTRIBUTE}
        if self.decoder is not None and (tokens is None or others or self.pooler):
            raise UserError(
                f"heads={[kind.value for kind in kinds]}, pooler={self.pooler} with a decoder: "
                "needed is a head of tokens, and perhaps one of an attribute; others read an "
                "encoder by itself: --gin.ModelConfig.decoder=None"
            )
        if self.decoder is None and HeadKind.ATTRIBUTE in kinds:
            raise UserError(
                "a head of kind='attribute' without a decoder: needed is a model that writes, of "
                "whose sequences it tells: --gin.ModelConfig.heads='(@HeadConfig(),)'"
            )
        check_generator(self.generator, kinds)
        if tokens is not None and tokens.transform is None and self.token_width != self.embed_dim:
            raise UserError(
                f"token_dim={self.token_dim} with embed_dim={self.embed_dim} and a head of tokens "
                "without transform: hidden states do not fit to the vectors of tokens; needed is "
                "an activation of the dense layer between: --gin.HeadConfig.transform='gelu_erf'"
            )
        if pooled := [head.kind.value for head in self.heads if head.pooled and not self.pooler]:
            raise UserError(
                f"the heads {', '.join(pooled)} read the pooler, and the model has none; needed is "
                "--gin.ModelConfig.pooler=True"
            )

    def _check_form(self) -> None:
        known = (AttentionForm.AUTO, AttentionForm.DENSE)
        for name, stack in self.stacks.items():
            if stack.relative_keys is not None and self.compute.attention not in known:
                raise UserError(
                    f"attention={self.compute.attention.value!r} with {name}.positions="
                    f"{stack.positions}: needed is 'auto' or 'dense', the only form that makes "
                    "keys of distances: --gin.ComputeConfig.attention='auto'"
                )

    def _check_residuals(self) -> None:
        known = (*self.block.kernels, *RESIDUALS)
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
        if encoder is None or decoder is None:
            missing = "encoder" if encoder is None else "decoder"
            raise UserError(f"sharing='encoder_decoder' needs two stacks; {missing} is None.")
        same = (
            encoder.depth == decoder.depth
            and encoder.block.attention == decoder.block.attention
            and encoder.block.mlp == decoder.block.mlp
            and encoder.block.norm == decoder.block.norm
            and encoder.block.adapter_dim == decoder.block.adapter_dim
            and encoder.block.lora == decoder.block.lora
            and _tables(encoder) == _tables(decoder)
        )
        if not same:
            raise UserError(
                "sharing='encoder_decoder' needs the same depth, attention, mlp, norm, adapter, "
                "LoRA, shared layers and input tables in both stacks; given "
                f"encoder={encoder} decoder={decoder}."
            )

    @property
    def layout(self) -> Layout:
        """Encoder-decoder models read inputs and targets apart, decoders one concatenation, and an
        encoder by itself has targets that are aligned with its inputs.
        """
        if self.decoder is None:
            return Layout.ENCODER
        if self.encoder is not None:
            return Layout.ENCODER_DECODER
        prefix = self.decoder.visibility is Visibility.PREFIX
        return Layout.PREFIX_LM if prefix else Layout.LM

    @property
    def denoises(self) -> bool:
        """Whether its decoder sees all positions of a target, and so restores a whole one at a time
        instead of writing token after token.
        """
        decoder = self.decoder if self.encoder is not None else None
        return decoder is not None and decoder.visibility is Visibility.FULL

    @property
    def features(self) -> ModelFeatures:
        """What its batches are made of."""
        head = self.head(HeadKind.CLASSES)
        num_classes = None if head is None else head.num_classes
        return ModelFeatures(self.layout, self.special, self.prompts, self.max_length, num_classes)

    @property
    def max_length(self) -> int | None:
        """The longest text, where positions are learned; of windows there may be any number."""
        return self.top.max_length if self.recurrence is None else None

    @property
    def stacks(self) -> Mapping[str, StackConfig]:
        """Those that there are, in the order in which they run."""
        both = {"encoder": self.encoder, "decoder": self.decoder}
        return {name: stack for name, stack in both.items() if stack is not None}

    @property
    def top_name(self) -> str:
        """The stack whose hidden states the heads read."""
        return "encoder" if self.decoder is None else "decoder"

    @property
    def top(self) -> StackConfig:
        """The same stack itself."""
        return self.stacks[self.top_name]

    def read_by(self, kind: HeadKind) -> str:
        """The stack whose hidden states a head reads."""
        return "encoder" if kind is HeadKind.LENGTH else self.top_name

    @property
    def block(self) -> BlockConfig:
        """A layer of that stack, which in what fine-tuning adds is like those of the other one."""
        return self.top.block

    @property
    def token_width(self) -> int:
        """Of the vectors of tokens."""
        return self.embed_dim if self.token_dim is None else self.token_dim

    @property
    def token_axis(self) -> str:
        """The logical axis of that width."""
        return "embed" if self.token_dim is None else "token_embed"

    def head(self, kind: HeadKind) -> HeadConfig | None:
        """The head of this kind, if there is one."""
        return next((head for head in self.heads if head.kind is kind), None)

    @property
    def head_is_separate(self) -> bool:
        """Whether there is a `logits_dense` kernel."""
        return not self.logits_via_embedding and self.head(HeadKind.TOKENS) is not None

    @property
    def plain(self) -> "ModelConfig":
        """The model that is pre-trained, without what fine-tuning, teachers or rounding add."""
        own = dataclasses.replace(
            self, prompt_length=0, projections=None, quantization=None, recurrence=None
        )
        return own.with_blocks(adapter_dim=None, lora=None)

    @property
    def kept(self) -> "ModelConfig":
        """The model that is left when its training is over: without what served that alone."""
        return dataclasses.replace(self, generator=None, projections=None)

    @property
    def alone(self) -> "ModelConfig":
        """The model as it trains, without the generator beside it."""
        return dataclasses.replace(self, generator=None)

    def with_blocks(self, **fields: Any) -> "ModelConfig":
        """The model with these fields in the layers of all stacks."""

        def of_stack(stack: StackConfig) -> StackConfig:
            return dataclasses.replace(stack, block=dataclasses.replace(stack.block, **fields))

        return self.with_stacks(lambda _, stack: of_stack(stack))

    def with_stacks(self, change: Callable[[str, StackConfig], StackConfig]) -> "ModelConfig":
        """The model with what `change` makes of its stacks, given by their names."""
        encoder = None if self.encoder is None else change("encoder", self.encoder)
        decoder = None if self.decoder is None else change("decoder", self.decoder)
        return dataclasses.replace(self, encoder=encoder, decoder=decoder)


def _tables(stack: StackConfig) -> object:
    """What of a stack's input is a parameter: stacks that share one may read it by two rules."""
    positions: object = stack.positions
    if isinstance(positions, RelativeBiasConfig):
        positions = positions.num_buckets, positions.per_layer
    return positions, stack.token_types, stack.input_norm, stack.layer_sharing
