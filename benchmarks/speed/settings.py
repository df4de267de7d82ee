"""What is measured, as a value that travels to the processes of the arms."""

import dataclasses
import os
import pathlib

import numpy as np
from jaxtyping import Int32

from benchmarks.speed.vocabulary import FIRST_ORDINARY, num_pieces
from t5x_lite import config
from t5x_lite.model.config import ModelConfig

_END = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """A T5 v1.1 without dropout, in float32, and full rows: no position is padding.

    Attributes:
        size: a file of gin/models/t5_1_1.
        batch: rows; `inputs` and `targets` are their lengths.
        beams: of a beam search.
        examples: that are evaluated.
        folder: where models and logs are written.
        threads: of each arm.
        t5, tfds_data_dir, vocabulary: what `input` reads (arms/input.py).
    """

    size: str = "small"
    batch: int = 4
    inputs: int = 256
    targets: int = 64
    repeats: int = 5
    beams: int = 4
    examples: int = 64
    seed: int = 0
    folder: str = "build/speed"
    threads: int = dataclasses.field(default_factory=lambda: os.cpu_count() or 1)
    t5: str | None = None
    tfds_data_dir: str | None = None
    vocabulary: str | None = None

    @property
    def model_files(self) -> tuple[str, ...]:
        """The gin files of the model."""
        return (f"models/t5_1_1/{self.size}.gin",)

    @property
    def model(self) -> ModelConfig:
        """The model of every arm."""
        overrides = [("--gin", "DROPOUT_RATE=0.0")]
        return config.resolve(ModelConfig, self.model_files, overrides=overrides).config

    @property
    def directory(self) -> pathlib.Path:
        """Of the model, as Hugging Face's files."""
        return pathlib.Path(self.folder).resolve() / "models" / f"{self.size}-{self.seed}"

    def rows(self) -> tuple[Int32[np.ndarray, "batch inputs"], Int32[np.ndarray, "batch targets"]]:
        """Inputs and targets of ordinary pieces, each row with an end token as its last."""
        random = np.random.default_rng(self.seed)
        end = num_pieces(self.model.vocab_size)
        inputs, targets = (
            random.integers(FIRST_ORDINARY, end, (self.batch, length), np.int32)
            for length in (self.inputs, self.targets)
        )
        inputs[:, -1] = targets[:, -1] = _END
        return inputs, targets
