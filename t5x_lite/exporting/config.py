"""What is exported and how, as a frozen value (no JAX)."""

import dataclasses
import enum

from t5x_lite.bounds import MAX_LENGTH, check_bounds
from t5x_lite.compression.calibration_config import CalibrationConfig
from t5x_lite.compression.distillation_config import StudentConfig
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.errors import UserError
from t5x_lite.evaluation.config import EvalConfig
from t5x_lite.model.choices import ActivationDtype, Weights
from t5x_lite.places import check_place

PLATFORMS = ("cpu", "tpu", "cuda", "rocm")


class Format(enum.Enum):
    """Who reads the directory: transformers, anyone with JAX alone, CTranslate2, or t5x_lite, to
    which a checkpoint without the optimizer's slots is enough.
    """

    HUGGINGFACE = "huggingface"
    STABLEHLO = "stablehlo"
    CTRANSLATE2 = "ctranslate2"
    CHECKPOINT = "checkpoint"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """`path` is a checkpoint, a model directory (its newest) or a Hugging Face directory, `output`
    a directory that is not there yet, or empty. What is written is the `student` that begins as a
    part of the model, by default all of it. INT8 `weights` are measured by `quality`, an
    evaluation of the same path, and refused where they are too much worse, unless `accept_gap`.
    `sparse` leaves the zeros of a pruned model out of a CHECKPOINT.
    With a `calibration` what they are multiplied with is of 8 bits as well; a model that was
    trained so needs none.

    The others are of STABLEHLO: programs run on each of `platforms`; inputs are padded to
    `inputs_length`, targets and what is written to `max_decode_length` (None: the lengths of the
    run, else 512 and 128); `decoding` is how tokens are chosen. AUTO activations are float32, which
    every platform has.
    """

    path: str
    output: str
    format: Format
    vocabulary: str | None = None
    student: StudentConfig = StudentConfig()
    weights: Weights = Weights.FLOAT32
    quality: EvalConfig | None = None
    accept_gap: bool = False
    sparse: bool = False
    calibration: CalibrationConfig | None = None
    platforms: tuple[str, ...] = ("cpu", "tpu", "cuda")
    inputs_length: int | None = None
    max_decode_length: int | None = None
    decoding: DecodingConfig = dataclasses.field(default_factory=DecodingConfig)
    activation_dtype: ActivationDtype = ActivationDtype.AUTO

    def __post_init__(self) -> None:
        check_bounds(self, inputs_length=(1, MAX_LENGTH), max_decode_length=(1, MAX_LENGTH))
        for name in ("path", "output", "vocabulary"):
            check_place(name, getattr(self, name))
        self._check_weights()
        if self.sparse and self.format is not Format.CHECKPOINT:
            raise UserError(
                f"--sparse with format={self.format.value!r}, which has a place for every zero: "
                "needed is --format=checkpoint, or no --sparse, and the zeros are written."
            )
        unknown = [name for name in self.platforms if name not in PLATFORMS]
        if unknown or not self.platforms:
            raise UserError(
                f"platforms={','.join(self.platforms)!r}: needed are some of "
                f"{', '.join(PLATFORMS)}, such as --platforms=cpu,tpu,cuda."
            )

    def _check_weights(self) -> None:
        if self.weights is Weights.FLOAT32:
            if self.calibration is not None:
                raise UserError(
                    "activations='int8' with weights='float32': needed are both in int8: "
                    "--weights=int8 --activations=int8"
                )
            return
        check_holds_int8(self.format)
        if self.quality is None:
            raise UserError(
                "weights='int8' needs a task to be measured on: --gin.MIXTURE_OR_TASK_NAME=..., "
                "--gin.SPLIT=..."
            )


def check_holds_int8(format: Format, what: str = "int8 weights") -> None:
    """Refuses formats that others define without our int8.

    Raises:
        UserError: with those that hold it.
    """
    if format in (Format.HUGGINGFACE, Format.CTRANSLATE2):
        raise UserError(
            f"{what} with format={format.value!r}: needed is 'checkpoint' or 'stablehlo', or "
            "a model in float32. CTranslate2 rounds by itself when it loads (compute_type='int8')."
        )
