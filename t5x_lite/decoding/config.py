"""How text is generated, as frozen values (no JAX)."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecodingConfig:
    """Greedy decoding for at most `max_decode_length` tokens, the end token included."""

    max_decode_length: int = 128
