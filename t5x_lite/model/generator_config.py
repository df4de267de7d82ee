"""What puts other tokens in the places of chosen ones while a model learns to tell which they are,
as frozen values (no JAX): Clark et al. (2020).
"""

import dataclasses
from collections.abc import Collection

from t5x_lite.bounds import FINITE, MAX_LAYERS, MAX_WIDTH, POSITIVE, check_bounds
from t5x_lite.errors import UserError
from t5x_lite.model.choices import HeadKind


@dataclasses.dataclass(frozen=True, kw_only=True)
class GeneratorConfig:
    """An encoder of its own, which learns to find the chosen tokens; what it draws of its
    distribution stands in their places. It has the vectors of tokens, positions and types in common
    with the model, and is like it in all that is not said here. `num_layers` None is as deep.

    With `forbid_correct` it never draws the true token. At `temperature` 1 it draws as it tells.
    """

    embed_dim: int
    mlp_dim: int
    num_heads: int
    num_layers: int | None = None
    temperature: float = 1.0
    forbid_correct: bool = False

    def __post_init__(self) -> None:
        check_bounds(
            self,
            embed_dim=(1, MAX_WIDTH),
            mlp_dim=(1, MAX_WIDTH),
            num_heads=(1, MAX_WIDTH),
            num_layers=(1, MAX_LAYERS),
            temperature=(POSITIVE, FINITE),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class UniformGeneratorConfig:
    """Every token of the vocabulary is drawn alike, and nothing learns to: an ablation."""

    forbid_correct: bool = False


def check(
    generator: GeneratorConfig | UniformGeneratorConfig | None, heads: Collection[HeadKind]
) -> None:
    """Refuses one beside a model with other heads than it has to teach, as one with a decoder."""
    if generator is not None and (HeadKind.REPLACED not in heads or HeadKind.TOKENS in heads):
        raise UserError(
            f"{type(generator).__name__} beside a model with heads of "
            f"{', '.join(kind.value for kind in heads) or 'nothing'}: needed is one of replaced "
            "tokens, and none of tokens, which the generator has: --gin.ModelConfig.generator=None"
        )
