"""What compares states of a student with those of a wider teacher (standard library only)."""

import dataclasses

from t5x_lite.bounds import MAX_WIDTH, check_bounds


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProjectionsConfig:
    """Two learned matrices, of a stack's input and of the states of all its layers, to `width`, the
    teacher's (Jiao et al. 2020, section 3.1). They train with the model and are not kept.
    """

    width: int

    def __post_init__(self) -> None:
        check_bounds(self, width=(1, MAX_WIDTH))
