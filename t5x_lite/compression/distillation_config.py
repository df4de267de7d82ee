"""How a trained model is made smaller, as frozen values (no JAX)."""

import dataclasses

from t5x_lite.bounds import MAX_COUNT, MAX_LAYERS, SEED, SHARE, check_bounds
from t5x_lite.errors import UserError

# Parts that a student may begin without.
PARTS = ("token_types", "pooler")


@dataclasses.dataclass(frozen=True, kw_only=True)
class StudentConfig:
    """A student that begins as some layers of a trained model, counted from 1 and in this order;
    none named are all of a stack (Sanh et al. 2019, section 3: every other one; Shleifer and Rush
    2020: a shallow decoder). `without` are parts that it has not: "token_types", whose first vector
    every position then holds, so that texts of one type are read as before, and "pooler", with the
    heads that read it.
    """

    encoder_layers: tuple[int, ...] = ()
    decoder_layers: tuple[int, ...] = ()
    without: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("encoder_layers", "decoder_layers"):
            if any(not 1 <= layer <= MAX_LAYERS for layer in getattr(self, name)):
                raise UserError(
                    f"{name}={getattr(self, name)}: needed are layers from 1 on: --{name}=1,3,5"
                )
        if unknown := [part for part in self.without if part not in PARTS]:
            raise UserError(
                f"without={','.join(unknown)}: needed are some of {', '.join(PARTS)}: "
                f"--without={','.join(PARTS)}"
            )

    @property
    def is_all(self) -> bool:
        """Whether nothing is left out."""
        return self == StudentConfig()


@dataclasses.dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """More sentences like a sentence (Jiao et al. 2020, algorithm 1): up to `copies` of it in which
    each word that is no stop word is, with `probability`, another one of `candidates`. `seed` and
    the number of the row say which.
    """

    probability: float = 0.4
    copies: int = 20
    candidates: int = 15
    seed: int = 0

    def __post_init__(self) -> None:
        check_bounds(
            self,
            probability=SHARE,
            copies=(0, MAX_COUNT),
            candidates=(1, MAX_COUNT),
            seed=SEED,
        )
