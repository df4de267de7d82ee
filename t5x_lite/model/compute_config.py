"""How a model's numbers are computed, as a frozen value (no JAX)."""

import dataclasses

from t5x_lite.bounds import FINITE, MAX_LAYERS, MAX_LENGTH, check_bounds
from t5x_lite.errors import UserError
from t5x_lite.model.choices import ActivationDtype, AttentionForm, Remat


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComputeConfig:
    """How the same numbers are computed; nothing here changes a parameter.

    `remat` says what the backward pass finds in memory: everything (NONE), matrix products
    (MINIMAL), nothing but the layers' inputs (FULL), or the inputs and what a list names: kernels
    for their products, "attended" for what attention mixes. What `offload` names waits in the
    memory of the host meanwhile. `scan_unroll` is how many layers the loop over them runs at a
    time, None what is fastest on the device. `logits_bytes` is the most bytes of float32 logits
    that a device holds for a loss at a time: more come in chunks. `attention_block` is how many
    queries and keys a form of attention that goes block by block takes at once.
    """

    activation_dtype: ActivationDtype = ActivationDtype.AUTO
    remat: Remat | tuple[str, ...] = Remat.NONE
    offload: tuple[str, ...] = ()
    scan_unroll: int | None = None
    logits_bytes: int = 64 * 2**20
    attention: AttentionForm = AttentionForm.AUTO
    attention_block: int = 512

    def __post_init__(self) -> None:
        check_bounds(
            self,
            scan_unroll=(1, MAX_LAYERS),
            logits_bytes=(1, FINITE),
            attention_block=(1, MAX_LENGTH),
        )
        if self.offload and self.remat is Remat.NONE:
            raise UserError(
                f"offload={self.offload} with remat='none': needed is a choice of what is kept, of "
                'which some goes to the host: --gin.REMAT="minimal" or "full".'
            )

    @property
    def named(self) -> dict[str, tuple[str, ...]]:
        """The names in each field that has some."""
        remat = () if isinstance(self.remat, Remat) else self.remat
        return {"remat": remat, "offload": self.offload}
