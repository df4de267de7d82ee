"""How fine-tuning proceeds, as frozen values (no JAX)."""

import dataclasses

from t5x_lite.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnfreezingConfig:
    """Gradual unfreezing over the first `steps` steps of a run, in `episodes` of equal length; None
    means one for each layer of the deepest stack (Raffel et al. 2020, section 3.5.1: 12 in 2^18).
    """

    steps: int
    episodes: int | None = None

    def __post_init__(self) -> None:
        if self.episodes is not None and not 1 <= self.episodes <= self.steps:
            raise UserError(
                f"episodes={self.episodes} in steps={self.steps}: needed is at least 1, and a "
                "step for each: --gin.UNFREEZING_EPISODES=..., --gin.UNFREEZING_STEPS=..."
            )
        if self.steps < 1:
            raise UserError(
                f"steps={self.steps}: needed is a number above 0: --gin.UNFREEZING_STEPS=..."
            )
