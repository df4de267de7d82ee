"""What a decoder learns that restores whole targets, as frozen values (no JAX)."""

import dataclasses
from collections.abc import Iterable

from t5x_lite.bounds import BELOW_ONE, FINITE, check_bounds
from t5x_lite.features.denoising_config import Denoising, Noise
from t5x_lite.losses.config import TermConfig

# Steps of denoising that a training step makes, each a pass of the decoder.
MAX_UNROLLED = 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class DenoisingLossConfig(TermConfig):
    """Mean of the cross-entropies of `num_steps` steps of denoising, each of all target tokens: the
    first reads targets of which a share is spoiled by `noise`, each further one what was drawn of
    the distributions before it (Savinov et al. 2022, section 3, where there are 2 of UNIFORM).
    """

    num_steps: int = 2
    noise: Noise = Noise.UNIFORM
    z_loss: float = 0.0
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        check_bounds(
            self,
            num_steps=(1, MAX_UNROLLED),
            z_loss=(0.0, FINITE),
            label_smoothing=(0.0, BELOW_ONE),
        )
        super().__post_init__()

    @property
    def denoising(self) -> Denoising:
        """What is asked of the model."""
        return Denoising(self.num_steps, self.noise)


def decoder_passes(terms: Iterable[TermConfig]) -> int:
    """How often the decoder reads a batch for a loss."""
    denoising = (term for term in terms if isinstance(term, DenoisingLossConfig))
    return max((term.num_steps for term in denoising), default=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LengthLossConfig(TermConfig):
    """Cross-entropy of the number of tokens of each target, the end token counted in, which the
    encoder tells; the default normalization is the mean over examples.
    """

    @property
    def counted_stack(self) -> str:
        """The encoder, which has a position for it in each example."""
        return "encoder"
