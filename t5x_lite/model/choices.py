"""The choices that a model's config offers by name; standard library only, as config.py."""

import enum

from t5x_lite.errors import UserError

# gelu is the tanh form that T5 v1.1 was trained with, gelu_erf the exact one (BERT), linear the
# identity of a gated unit.
ACTIVATIONS = ("relu", "gelu", "gelu_erf", "silu", "tanh", "linear")
# The kernels of a layer, by the names of their modules.
KERNELS = ("query", "key", "value", "out", "wi", "wi_0", "wi_1", "wo")
# What else of a layer the backward pass can find in memory: what attention mixes before `out`, and
# what enters the layer.
ATTENDED, LAYER_INPUT = RESIDUALS = ("attended", "layer_input")

# Up to 1,024 queries of as many keys all logits of a head are made at once: 4 MB.
DENSE_LOGITS = 1024 * 1024


class Visibility(enum.Enum):
    """Which keys a query may see: Raffel et al. (2020), figure 3."""

    FULL = "full"
    CAUSAL = "causal"
    PREFIX = "prefix"


class Weights(enum.Enum):
    """How kernels and vectors of tokens are held: as they were trained, or rounded for inference
    (see quantization.py).
    """

    FLOAT32 = "float32"
    INT8 = "int8"


class Granularity(enum.Enum):
    """What has a scale of its own where weights are rounded: a matrix, or each of its channels."""

    TENSOR = "tensor"
    CHANNEL = "channel"


class Sharing(enum.Enum):
    """Whether the encoder has its own weights or reads the decoder's."""

    NONE = "none"
    ENCODER_DECODER = "encoder_decoder"


class LayerSharing(enum.Enum):
    """Which sub-layers all layers of a stack have in common, with their norms (Lan et al. 2020,
    section 3.1): none, all, attention, or the feed-forward one with its adapter.
    """

    NONE = "none"
    ALL = "all"
    ATTENTION = "attention"
    MLP = "mlp"


class HeadKind(enum.Enum):
    """What a head tells of hidden states, by the name of its outputs: TOKENS which token stands (or
    comes next) at each position, REPLACED whether the token of a position was put there in place of
    another one (Clark et al. 2020), SPAN whether an answer begins and whether it ends there; of a
    whole example, told at its first position, SENTENCE which of two relations its two parts have
    (Devlin et al. 2019, Lan et al. 2020), CLASSES which label it has, REGRESSION a number, LENGTH
    how many tokens its target has, by what the encoder makes of its inputs. ATTRIBUTE is of a
    decoder: behind each token, whether what begins so will have an attribute (Yoshida et al. 2024).
    """

    TOKENS = "tokens"
    SENTENCE = "sentence"
    REPLACED = "replaced"
    CLASSES = "classes"
    REGRESSION = "regression"
    SPAN = "span"
    ATTRIBUTE = "attribute"
    LENGTH = "length"


class ExamplePlace(enum.Enum):
    """At which of an example's tokens heads and poolers of whole examples read."""

    FIRST = "first"
    LAST = "last"


class FirstMemory(enum.Enum):
    """What the first window of a text sees of those before: nothing, or learned keys and values."""

    EMPTY = "empty"
    LEARNED = "learned"


class NormPlace(enum.Enum):
    """Where a sub-layer is normalized, see `NormConfig`."""

    PRE = "pre"
    POST = "post"


class NormKind(enum.Enum):
    """RMS only rescales (Zhang and Sennrich 2019), LAYER also centers (Ba et al. 2016)."""

    RMS = "rms"
    LAYER = "layer"


class InitScheme(enum.Enum):
    """By which rule parameters begin, see `InitConfig`."""

    T5 = "t5"
    NORMAL = "normal"


class Remat(enum.Enum):
    """What the backward pass recomputes: nothing, all but matrix products, everything."""

    NONE = "none"
    MINIMAL = "minimal"
    FULL = "full"


class AttentionForm(enum.Enum):
    """How attention is computed, whose result is the same: DENSE makes all logits at once,
    BLOCKWISE those of one block of queries and keys after another, and again in the backward pass
    (Dao et al. 2022), PALLAS so in kernels of their own, where a program is for TPUs, CUDNN by
    NVIDIA's kernel. AUTO is DENSE up to `DENSE_LOGITS` of a head, and BLOCKWISE beyond.
    """

    AUTO = "auto"
    DENSE = "dense"
    BLOCKWISE = "blockwise"
    PALLAS = "pallas"
    CUDNN = "cudnn"


class ActivationDtype(enum.Enum):
    """AUTO is bfloat16 on accelerators and float32 on CPU; parameters are always float32."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"

    @classmethod
    def _missing_(cls, value: object) -> None:
        if value in ("float16", "fp16", "half"):
            raise UserError(
                "activation_dtype='float16' is refused: T5's feed-forward outputs exceed 65504, "
                "the largest float16, so activations overflow to inf and the loss to NaN. "
                "Use 'bfloat16' (same size, float32's range) or 'float32'."
            )
