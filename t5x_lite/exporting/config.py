"""What is exported and how, as a frozen value (no JAX)."""

import dataclasses
import enum

from t5x_lite.bounds import MAX_LENGTH, check_bounds
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.errors import UserError
from t5x_lite.model.choices import ActivationDtype
from t5x_lite.places import check_place

PLATFORMS = ("cpu", "tpu", "cuda", "rocm")


class Format(enum.Enum):
    """Who reads the directory: transformers, anyone with JAX alone, CTranslate2."""

    HUGGINGFACE = "huggingface"
    STABLEHLO = "stablehlo"
    CTRANSLATE2 = "ctranslate2"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """`path` is a checkpoint, a model directory (its newest) or a Hugging Face directory, `output`
    a directory that is not there yet, or empty.

    The others are of STABLEHLO: programs run on each of `platforms`; inputs are padded to
    `inputs_length`, targets and what is written to `max_decode_length` (None: the lengths of the
    run, else 512 and 128); `decoding` is how tokens are chosen. AUTO activations are float32, which
    every platform has.
    """

    path: str
    output: str
    format: Format
    vocabulary: str | None = None
    platforms: tuple[str, ...] = ("cpu", "tpu", "cuda")
    inputs_length: int | None = None
    max_decode_length: int | None = None
    decoding: DecodingConfig = dataclasses.field(default_factory=DecodingConfig)
    activation_dtype: ActivationDtype = ActivationDtype.AUTO

    def __post_init__(self) -> None:
        check_bounds(self, inputs_length=(1, MAX_LENGTH), max_decode_length=(1, MAX_LENGTH))
        for name in ("path", "output", "vocabulary"):
            check_place(name, getattr(self, name))
        unknown = [name for name in self.platforms if name not in PLATFORMS]
        if unknown or not self.platforms:
            raise UserError(
                f"platforms={','.join(self.platforms)!r}: needed are some of "
                f"{', '.join(PLATFORMS)}, such as --platforms=cpu,tpu,cuda."
            )
