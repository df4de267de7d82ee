"""Why an instruction is there: the pass it belongs to, the code and the parameter it came from."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Cause:
    """What can be read of where an instruction came from; what is not known is empty.

    Attributes:
        phase: forward, recomputation, backward or optimizer.
        parameter: the argument that it moves, as encoder/layers/mlp/wi_0/kernel; empty for
            activations and gradients.
        function: the function of ours that traced it, as Attention.__call__.
        operation: JAX's primitive, as dot_general.
    """

    phase: str
    parameter: str
    function: str
    operation: str

    def __str__(self) -> str:
        of = self.parameter or " ".join(part for part in (self.function, self.operation) if part)
        return f"{self.phase}: {of}" if of else self.phase
