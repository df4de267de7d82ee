"""How fine-tuning proceeds, as frozen values (no JAX)."""

import dataclasses

from t5x_lite.bounds import MAX_COUNT, check_bounds
from t5x_lite.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnfreezingConfig:
    """Gradual unfreezing over the first `steps` steps of a run, in `episodes` of equal length; None
    means one for each layer of the deepest stack (Raffel et al. 2020, section 3.5.1: 12 in 2^18).
    """

    steps: int
    episodes: int | None = None

    def __post_init__(self) -> None:
        check_bounds(self, steps=(1, MAX_COUNT), episodes=(1, MAX_COUNT))
        if self.episodes is not None and self.episodes > self.steps:
            raise UserError(
                f"episodes={self.episodes} in steps={self.steps}: needed is a step "
                "for each: --gin.UNFREEZING_EPISODES=..., --gin.UNFREEZING_STEPS=..."
            )
