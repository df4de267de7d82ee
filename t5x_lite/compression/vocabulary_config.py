"""Which pieces of a vocabulary stay, as a frozen value (no JAX)."""

import dataclasses

from t5x_lite.bounds import MAX_COUNT, MAX_VOCABULARY, check_bounds
from t5x_lite.places import check_place


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrimVocabularyConfig:
    """`path` is a checkpoint, a model directory (its newest) or a Hugging Face directory, `output`
    a directory that is not there yet, or empty.

    A piece stays that the corpus has `min_count` times, and with `keep_characters` each that is one
    character. The greedy answers to the first `answers` inputs of the corpus stay as well: what
    they are written with counts as used, and they are compared. The embedding has a multiple of
    `multiple_of` rows, which divides over the devices of a mesh.
    """

    path: str
    output: str
    vocabulary: str | None = None
    min_count: int = 1
    keep_characters: bool = False
    answers: int = 100
    multiple_of: int = 128

    def __post_init__(self) -> None:
        check_bounds(
            self,
            min_count=(1, MAX_COUNT),
            answers=(0, MAX_COUNT),
            multiple_of=(1, MAX_VOCABULARY),
        )
        for name in ("path", "output", "vocabulary"):
            check_place(name, getattr(self, name))
