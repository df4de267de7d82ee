"""No number of a configuration is taken that nothing can be made of."""

import dataclasses
import math

import pytest

from t5x_lite import config as gin_config
from t5x_lite.bounds import FINITE, POSITIVE, check_bounds
from t5x_lite.config.configurables import configurables, field_types, options
from t5x_lite.decoding.strategies import STRATEGIES
from t5x_lite.errors import UserError
from t5x_lite.exporting.config import Format
from t5x_lite.inference.config import InferConfig
from t5x_lite.optim.config import OptimizerConfig
from t5x_lite.training.config import TrainConfig

MACROS = {
    "MODEL_DIR": "run",
    "MIXTURE_OR_TASK_NAME": "task",
    "TASK_FEATURE_LENGTHS": "{'inputs': 8, 'targets': 8}",
    "TRAIN_STEPS": "10",
    "VOCAB_SIZE": "384",
}


def resolved(root=TrainConfig, files=("models/t5_1_1/small.gin", "recipes/pretrain.gin"), **macros):
    overrides = [(f"--gin.{name}", f"{name}={value}") for name, value in macros.items()]
    return gin_config.resolve(root, files, overrides=overrides).config


def examples():
    """A config of every class: the parts of jobs, and what has defaults for all fields."""
    found, pending = {}, [resolved(**MACROS)]
    file = {"CHECKPOINT_PATH": "run", "INPUT_FILE": "x.txt", "INFER_OUTPUT_DIR": "run"}
    pending.append(resolved(InferConfig, ("recipes/infer_file.gin",), **file))
    pending += [configurables()["StatisticsConfig"](), configurables()["LoraConfig"]()]
    pending += [optimizer() for optimizer in options(OptimizerConfig)]
    pending += [configurables()["LearnedPositionsConfig"](max_length=8)]
    pending += [configurables()["RelativeKeysConfig"](max_distance=8)]
    generator = {"embed_dim": 8, "num_heads": 1, "mlp_dim": 8}
    pending += [configurables()["GeneratorConfig"](**generator)]
    pending += [configurables()["UniformGeneratorConfig"]()]
    terms = ("MatchTeacher", "ClassesLoss", "RegressionLoss", "ReplacedTokensLoss", "SpanLoss")
    terms += ("DenoisingLoss", "LengthLoss")
    pending += [configurables()[f"{name}Config"]() for name in terms]
    matched = ("MatchDirection", "MatchInput", "MatchStates", "MatchScores")
    pending += [configurables()[f"{name}Config"]() for name in matched]
    pending += [configurables()["ProjectionsConfig"](width=8), configurables()["AugmentConfig"]()]
    pending += [configurables()["HiddenStatesConfig"](step_size=0.1)]
    pending += [configurables()["ParameterGroup"](pattern="x")]
    pending += [configurables()["UnfreezingConfig"](steps=9)]
    pending += [configurables()["PruningConfig"](sparsity=0.5, end_step=9, update_period=3)]
    pending += [configurables()[f"{name}Config"]() for name in ("Quantization", "Calibration")]
    pending += [configurables()["RecurrenceConfig"](window=8)]
    pending += [configurables()["BatchRampConfig"](start=1, increment=1, rows=1)]
    pending += [configurables()["CorpusConfig"](inputs=("x.wet",), output="out")]
    export = {"path": "run", "output": "out", "format": Format.HUGGINGFACE}
    pending += [configurables()["ExportConfig"](**export)]
    trim = {"path": "run", "output": "out"}
    pending += [configurables()["SizesConfig"](paths=("run",))]
    pending += [configurables()["TrimVocabularyConfig"](**trim)]
    pending += [strategy() for strategy in STRATEGIES.values()]
    pending += [configurables()["AttributeLossConfig"]()]
    while pending:
        value = pending.pop()
        if isinstance(value, tuple):
            pending += value
        elif dataclasses.is_dataclass(value):
            found.setdefault(type(value), value)
            pending += [getattr(value, field.name) for field in dataclasses.fields(value)]
    return found


def numbers():
    """Every field that takes a number, with its config."""
    found = []
    for cls, example in examples().items():
        for name, annotation in field_types(cls).items():
            if kinds := {int, float} & set(options(annotation)):
                found.append(pytest.param(example, name, kinds, id=f"{cls.__name__}.{name}"))
    return found


@pytest.mark.parametrize(("config", "field", "kinds"), numbers())
def test_every_number_has_bounds(config, field, kinds):
    """A field that is new is covered as well; 10**400 is no float at all."""
    wrong = [10**400, -(10**400)] if int in kinds else []
    if float in kinds:
        wrong += [math.nan, math.inf, -math.inf]
    for value in wrong:
        with pytest.raises(UserError, match=field):
            dataclasses.replace(config, **{field: value})


def test_all_classes_with_numbers_are_looked_at():
    """EvalConfig has those of InferConfig."""
    with_numbers = {
        cls
        for cls in configurables().values()
        for annotation in field_types(cls).values()
        if {int, float} & set(options(annotation))
    }
    left_out = {cls.__name__ for cls in with_numbers - set(examples())}
    assert left_out <= {"EvalConfig"}


@pytest.mark.parametrize(
    ("macro", "value", "message"),
    [
        ("EMBED_DIM", 0, "embed_dim=0: needed is at least 1 "),
        ("NUM_HEADS", -1, "num_heads=-1: needed is at least 1 "),
        ("HEAD_DIM", 0, "head_dim=0: needed is at least 1 "),
        ("VOCAB_SIZE", 99999999999, "vocab_size=99999999999: needed is at most 16,777,216 "),
        ("NUM_DECODER_LAYERS", 10**9, "num_layers=1000000000: needed is at most 10,000 "),
        ("RANDOM_SEED", 2**64, "needed is at most 4,294,967,295 "),
        ("BATCH_SIZE", 10**21, "batch_size=1000000000000000000000: needed is at most 1,048,576 "),
        ("LEARNING_RATE", 10**400, "needed is a number of less than 309 digits"),
        ("LEARNING_RATE", -1, "base_learning_rate=-1.0: needed is at least 0.0 "),
        ("Z_LOSS", -1, "z_loss=-1.0: needed is at least 0.0 "),
    ],
)
def test_the_macro_that_gave_a_number_is_named(macro, value, message):
    """With the place where it stands."""
    with pytest.raises(UserError) as caught:
        resolved(**MACROS | {macro: str(value)})
    for line in str(caught.value).splitlines()[1:]:
        assert message in line and f"--gin.{macro} on the command line" in line


def test_all_that_is_outside_is_said_at_once():
    @dataclasses.dataclass
    class Config:
        one: float
        two: int | None
        three: float = math.nan

    with pytest.raises(UserError) as caught:
        check_bounds(Config(0.0, 7), one=(POSITIVE, FINITE), two=(0, 6), three=(0, 1))
    assert str(caught.value) == (
        "one=0.0: needed is more than 0; two=7: needed is at most 6; three=nan: needed is a number"
    )
    check_bounds(Config(1.0, None, 1.0), one=(POSITIVE, FINITE), two=(0, 6), three=(0, 1))
