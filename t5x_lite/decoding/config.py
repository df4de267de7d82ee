"""How text is generated, as frozen values (no JAX)."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecodingConfig:
    """Greedy decoding for at most `max_decode_length` tokens, the end token included."""

    max_decode_length: int = 128

    def __post_init__(self) -> None:
        if self.max_decode_length < 1:
            raise ValueError(
                f"max_decode_length={self.max_decode_length}: needed is at least 1: "
                "--gin.MAX_DECODE_LENGTH=..."
            )
