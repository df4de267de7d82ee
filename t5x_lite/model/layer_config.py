"""What a layer is, as frozen values (no JAX)."""

import dataclasses
import difflib

from t5x_lite.bounds import BELOW_ONE, FINITE, MAX_WIDTH, POSITIVE, check_bounds
from t5x_lite.errors import UserError
from t5x_lite.model.choices import ACTIVATIONS, KERNELS, InitScheme, NormKind, NormPlace


@dataclasses.dataclass(frozen=True, kw_only=True)
class NormConfig:
    """How a sub-layer is normalized: by T5's RMS norm or a layer norm, which also subtracts the
    mean and has a bias; before the sub-layer (`place` PRE: x + f(norm(x)), with one more norm above
    the stack) or behind its sum (POST: norm(x + f(x)), Vaswani et al. 2017).
    """

    kind: NormKind = NormKind.RMS
    epsilon: float = 1e-6
    place: NormPlace = NormPlace.PRE

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
