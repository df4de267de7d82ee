"""How targets are spoiled that a bidirectional decoder is to restore, as frozen values (no JAX)."""

import dataclasses
import enum


class Noise(enum.Enum):
    """What stands in the place of a token that is to be found again: UNIFORM any token of the
    vocabulary, all alike (Savinov et al. 2022), MASK the mask (Ghazvininejad et al. 2019).
    """

    UNIFORM = "uniform"
    MASK = "mask"


@dataclasses.dataclass(frozen=True)
class Denoising:
    """`num_steps` of denoising one after the other: each reads what was drawn of the distributions
    that the one before it told, the first targets spoiled by `noise`.
    """

    num_steps: int
    noise: Noise
