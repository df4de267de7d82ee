"""What is measured, as a value that travels to the processes of the arms."""

import dataclasses
import os
import pathlib

import numpy as np
from jaxtyping import Int32

from benchmarks.speed.families import Family, family_of
from t5x_lite import config
from t5x_lite.model.config import ModelConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """A model without dropout, in float32, and full rows: no position is padding.

    Attributes:
        size: a file of gin/models/t5_1_1, or gpt2/ and one of gin/models/gpt2 (`families`).
        batch: rows; `inputs` and `targets` are their lengths, of a language model those of the
            prompt and of what goes on behind it.
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
    def family(self) -> Family:
        """What holds of all sizes of the model."""
        return family_of(self.size)[0]

    @property
    def model_files(self) -> tuple[str, ...]:
        """The gin files of the model."""
        family, name = family_of(self.size)
        return (f"models/{family.folder}/{name}.gin",)

    @property
    def model(self) -> ModelConfig:
        """The model of every arm."""
        overrides = [("--gin", "DROPOUT_RATE=0.0")]
        return config.resolve(ModelConfig, self.model_files, overrides=overrides).config

    @property
    def directory(self) -> pathlib.Path:
        """Of the model, as Hugging Face's files."""
        return pathlib.Path(self.folder).resolve() / "models" / f"{self.size}-{self.seed}"

    @property
    def lengths(self) -> tuple[int, int]:
        """Of what is read before, and of what is predicted token by token, in training and scoring:
        inputs and targets, of a language model nothing and both together.
        """
        if self.family.has_encoder:
            return self.inputs, self.targets
        return 0, self.inputs + self.targets

    def rows(self) -> tuple[Int32[np.ndarray, "batch inputs"], Int32[np.ndarray, "batch targets"]]:
        """Inputs and targets of ordinary pieces, each with an end token as its last where the
        family has them so.
        """
        random, model = np.random.default_rng(self.seed), self.model
        ordinary = self.family.ordinary(model.vocab_size)
        inputs, targets = (
            random.integers(ordinary.start, ordinary.stop, (self.batch, length), np.int32)
            for length in (self.inputs, self.targets)
        )
        if self.family.ends_rows:
            inputs[:, -1] = targets[:, -1] = model.special.end
        return inputs, targets

    def predicted_rows(
        self,
    ) -> tuple[Int32[np.ndarray, "batch read"], Int32[np.ndarray, "batch predicted"]]:
        """The same ids as what is read before and what is predicted, of those `lengths`."""
        joined = np.concatenate(self.rows(), axis=1)
        read = self.lengths[0]
        return joined[:, :read], joined[:, read:]
