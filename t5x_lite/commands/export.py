"""export, which makes of a checkpoint what others read."""

import argparse
import dataclasses
from collections.abc import Mapping
from typing import Any

from t5x_lite import flags, jobs
from t5x_lite.bounds import MAX_COUNT, MAX_LENGTH
from t5x_lite.compression.calibration_config import CalibrationConfig
from t5x_lite.compression.distillation_config import PARTS, StudentConfig
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.decoding.strategies import STRATEGIES, GreedyConfig, strategy_of
from t5x_lite.errors import UsageError
from t5x_lite.evaluation.config import EvalConfig
from t5x_lite.exporting.config import ExportConfig, Format, check_holds_int8
from t5x_lite.model.choices import ActivationDtype, Granularity, Weights

# They have flags of their own: the one is the length of targets as well, the other has settings.
_NOT_A_FLAG = ("max_decode_length", "strategy")


def add(commands: flags.Commands) -> None:
    """Makes it known to the parser."""
    summary = "a trained model for transformers, CTranslate2, or JAX alone, or in int8"
    command = flags.add_command(commands, "export", _export, summary)
    command.epilog = (
        "example:\n  t5x_lite export runs/one --format=huggingface --output=one_hf\n"
        "  t5x_lite export runs/one --format=stablehlo --output=one_hlo --platforms=cpu,cuda"
        "\n  t5x_lite export runs/one --format=checkpoint --weights=int8 --output=one_int8"
        "\n  t5x_lite export runs/one --format=huggingface --output=student --decoder_layers=1,12"
        "\n\nLoRA is put into the kernels. What is written is whole or not there. int8 is measured "
        "first,\non the task and split that `eval` would take, with its flags, and refused where "
        "it is worse\nby more than .01 nats per token or .5 BLEU."
    )
    flags.add_model_and_output(command)
    command.add_argument(
        "--format", required=True, choices=[each.value for each in Format], help="who reads it"
    )
    command.add_argument(
        "--weights",
        choices=[each.value for each in Weights],
        default=Weights.FLOAT32.value,
        help="int8: rounded, with a scale for each channel, or as the model was trained; of "
        "checkpoint and stablehlo",
    )
    _add_activations(command)
    command.add_argument(
        "--accept_gap", action="store_true", help="write int8 however much worse it is"
    )
    _add_student(command)
    command.add_argument(
        "--sparse",
        action="store_true",
        help="leave the zeros of a pruned model out of a checkpoint, which all commands read",
    )
    _add_stablehlo(command)
    flags.add_configuration(command, dry_run=False)
    flags.add_data(command)
    flags.add_no_imports(command)
    flags.measure_as_eval(command)


def _add_student(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("a student, which begins as a part of the model")
    for name in ("encoder_layers", "decoder_layers"):
        group.add_argument(
            f"--{name}",
            type=flags.layers,
            default=(),
            metavar="1,3,5",
            help="of it, counted from 1 (default: all)",
        )
    group.add_argument(
        "--without",
        type=flags.comma_list,
        default=[],
        metavar="PART,PART",
        help=f"what it has not: {', '.join(PARTS)}",
    )


def _add_activations(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("products of 8 bits of a model that was trained without")
    group.add_argument(
        "--activations",
        choices=[each.value for each in Weights],
        default=Weights.FLOAT32.value,
        help="int8: what kernels read is rounded as well, in ranges that examples show",
    )
    default = CalibrationConfig()
    group.add_argument("--calibration_split", metavar="NAME", help=f"default: {default.split}")
    group.add_argument(
        "--calibration_examples",
        type=flags.between(1, MAX_COUNT),
        metavar="N",
        help=f"default: {default.num_examples}",
    )
    group.add_argument(
        "--granularity",
        choices=[each.value for each in Granularity],
        help="what has a scale of its own: a whole kernel, or each of its channels (default)",
    )
    group.add_argument(
        "--float_kernels",
        type=flags.comma_list,
        metavar="NAME,NAME",
        help="kernels that stay float32, such as wo",
    )


def _calibration(arguments: argparse.Namespace) -> CalibrationConfig | None:
    names = ("calibration_split", "calibration_examples", "granularity", "float_kernels")
    given = {name: value for name in names if (value := getattr(arguments, name)) is not None}
    if arguments.activations == Weights.FLOAT32.value:
        if given:
            raise UsageError(
                f"--{next(iter(given))} says how ranges are found: needed is --activations=int8 "
                "with it."
            )
        return None
    default = CalibrationConfig()
    return CalibrationConfig(
        split=given.get("calibration_split", default.split),
        num_examples=given.get("calibration_examples", default.num_examples),
        quantization=dataclasses.replace(
            default.quantization,
            granularity=Granularity(given.get("granularity", default.quantization.granularity)),
            float_kernels=tuple(given.get("float_kernels", ())),
        ),
    )


def _add_stablehlo(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group("programs of --format=stablehlo")
    group.add_argument(
        "--platforms",
        type=flags.comma_list,
        default=["cpu", "tpu", "cuda"],
        metavar="P,P",
        help="where they run (default: cpu,tpu,cuda)",
    )
    length = flags.between(1, MAX_LENGTH)
    group.add_argument(
        "--inputs_length", type=length, metavar="N", help="default: the run's, else 512"
    )
    group.add_argument(
        "--max_decode_length",
        type=length,
        metavar="N",
        help="of what is written and of targets that are scored (default: the run's, else 128)",
    )
    group.add_argument(
        "--activation_dtype",
        choices=[ActivationDtype.FLOAT32.value, ActivationDtype.BFLOAT16.value],
        default=ActivationDtype.FLOAT32.value,
        help="default: float32",
    )
    for field in dataclasses.fields(DecodingConfig):
        if field.name not in _NOT_A_FLAG:
            group.add_argument(f"--{field.name}", **_how(field.default), help="as for infer")
    names, greedy = list(STRATEGIES), GreedyConfig.name
    group.add_argument("--strategy", choices=names, default=greedy, help="as for infer")
    for name, field in _of_strategies().items():
        # None tells what was not given: each strategy has defaults of its own.
        how = _how(field.default) | {"default": None}
        group.add_argument(f"--{name}", **how, help="as for infer")


def _of_strategies() -> Mapping[str, dataclasses.Field[Any]]:
    """The settings that only some strategies have, by name."""
    strategies = STRATEGIES.values()
    return {field.name: field for each in strategies for field in dataclasses.fields(each)}


def _how(default: Any) -> dict[str, Any]:
    """How a flag with this default is parsed."""
    if isinstance(default, bool):
        return {"action": "store_true"}
    return {"type": type(default), "default": default, "metavar": "X"}


def _export(arguments: argparse.Namespace) -> None:
    given = vars(arguments)
    fields = dataclasses.fields(DecodingConfig)
    decoding = {field.name: given[field.name] for field in fields if field.name not in _NOT_A_FLAG}
    settings = {name: given[name] for name in _of_strategies() if given[name] is not None}
    decoding["strategy"] = strategy_of(arguments.strategy, **settings)
    config = ExportConfig(
        path=arguments.path,
        output=arguments.output,
        format=Format(arguments.format),
        vocabulary=arguments.vocabulary,
        student=StudentConfig(
            encoder_layers=arguments.encoder_layers,
            decoder_layers=arguments.decoder_layers,
            without=tuple(arguments.without),
        ),
        weights=Weights(arguments.weights),
        quality=_quality(arguments),
        accept_gap=arguments.accept_gap,
        sparse=arguments.sparse,
        calibration=_calibration(arguments),
        platforms=tuple(arguments.platforms),
        inputs_length=arguments.inputs_length,
        max_decode_length=arguments.max_decode_length,
        decoding=DecodingConfig(**decoding),
        activation_dtype=ActivationDtype(arguments.activation_dtype),
    )
    from t5x_lite.exporting.export import export

    export(config)


def _quality(arguments: argparse.Namespace) -> EvalConfig | None:
    """The evaluation that int8 is measured by, its tasks registered; other exports need none."""
    if arguments.weights != Weights.INT8.value:
        if arguments.gin_file or arguments.gin_bindings:
            raise UsageError(
                "gin files and --gin flags say what int8 is measured on: needed is --weights=int8 "
                "with them."
            )
        return None
    check_holds_int8(Format(arguments.format))
    for name, value in (("CHECKPOINT_PATH", arguments.path), ("EVAL_OUTPUT_DIR", arguments.output)):
        arguments.gin_bindings.append(("CHECKPOINT", f"{name}={value!r}"))
    job = jobs.start(EvalConfig, arguments, "")
    assert job is not None, "there is no --dry_run"
    return job.config
