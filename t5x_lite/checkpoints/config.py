"""When checkpoints are written and read, as frozen values (no JAX)."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class SaveCheckpointConfig:
    """Every `period` steps and at the end; of these the newest `keep` stay."""

    period: int = 1000
    keep: int = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class RestoreCheckpointConfig:
    """Where a run starts that has no checkpoint of its own: ours or a Hugging Face directory.

    A checkpoint of ours brings parameters, optimizer slots and step along, as in T5X.
    """

    path: str | None = None
