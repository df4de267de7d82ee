"""When checkpoints are written and read, as frozen values (no JAX)."""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class SaveCheckpointConfig:
    """Every `period` steps and at the end; of these the newest `keep` stay."""

    period: int = 1000
    keep: int = 3

    def __post_init__(self) -> None:
        if self.period < 1 or self.keep < 1:
            raise ValueError(
                f"period={self.period}, keep={self.keep}: needed is at least 1 of each: "
                "--gin.CHECKPOINT_PERIOD=..., --gin.KEEP_CHECKPOINTS=..."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RestoreCheckpointConfig:
    """Where a run starts that has no checkpoint of its own: ours or a Hugging Face directory.

    A checkpoint of ours brings parameters, optimizer slots and step along, as in T5X.
    """

    path: str | None = None
