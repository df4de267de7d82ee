"""A model as programs of StableHLO (jax.export) with its parameters beside them, which load where
t5x_lite is not installed.

    manifest.json            what each program is given and gives, special ids, versions
    parameters.safetensors   name -> array, the first argument of every program
    generate.jax_export      and score, encode
    run.py                   how all of it is loaded, as a class and a command
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy

import t5x_lite
from t5x_lite.checkpoints import codec
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.errors import UserError
from t5x_lite.exporting import run
from t5x_lite.exporting.config import ExportConfig
from t5x_lite.exporting.programs import Argument, Program, flat, programs
from t5x_lite.exporting.source import Source
from t5x_lite.model.choices import ActivationDtype, AttentionForm
from t5x_lite.model.config import ModelConfig
from t5x_lite.text.huggingface_files import huggingface_files

_MANIFEST, _PARAMETERS = "manifest.json", "parameters.safetensors"
_INPUTS_LENGTH, _MAX_DECODE_LENGTH = 512, 128
# Rows of a batch at most: sizes are compared while a program is traced, which needs a bound.
_MAX_ROWS = 2**16
# What JAX calls them when a program is traced for one of them alone.
_OF_ONE = {"cpu": "cpu", "tpu": "tpu", "cuda": "gpu", "rocm": "gpu"}
_OF_ALL = "any"


def write(folder: pathlib.Path, source: Source, config: ExportConfig) -> None:
    """Writes all files.

    Raises:
        UserError: the model has a part that is not exported, or has not learned so many positions.
    """
    inputs_length, decoding = _lengths(source, config)
    model = _portable(source.model, config)
    _check(model, inputs_length, decoding)
    platform = _OF_ONE[config.platforms[0]] if len(config.platforms) == 1 else _OF_ALL
    first_sentinel = None if source.tokenizer is None else source.tokenizer.first_sentinel
    parameters = {name: np.asarray(leaf) for name, leaf in flat(source.parameters).items()}
    parts = programs(
        model,
        decoding,
        inputs_length=inputs_length,
        first_sentinel=first_sentinel,
        platform=platform,
    )
    described = {
        name: _write_program(folder, name, program, parameters, config.platforms)
        for name, program in parts.items()
    }
    (folder / _PARAMETERS).write_bytes(safetensors.numpy.save(parameters))
    for name, content in huggingface_files(source.tokenizer).items():
        (folder / name).write_bytes(content)
    (folder / "run.py").write_bytes(pathlib.Path(run.__file__).read_bytes())
    manifest = {
        "t5x_lite": t5x_lite.__version__,
        "jax": jax.__version__,
        "platforms": config.platforms,
        "step": source.step,
        "special": dataclasses.asdict(model.special),
        "prompts": dataclasses.asdict(model.prompts),
        "decoding": codec.to_json(decoding),
        "model": codec.to_json(model),
        "programs": described,
        "parameters": {name: _described(each) for name, each in parameters.items()},
    }
    (folder / _MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")


def _lengths(source: Source, config: ExportConfig) -> tuple[int, DecodingConfig]:
    own = source.task_feature_lengths
    written = config.max_decode_length or own.get("targets", _MAX_DECODE_LENGTH)
    decoding = dataclasses.replace(config.decoding, max_decode_length=written)
    return config.inputs_length or own.get("inputs", _INPUTS_LENGTH), decoding


def _portable(model: ModelConfig, config: ExportConfig) -> ModelConfig:
    """Computed in one way on all platforms, whatever the run preferred."""
    dtype = config.activation_dtype
    compute = dataclasses.replace(
        model.compute,
        activation_dtype=ActivationDtype.FLOAT32 if dtype is ActivationDtype.AUTO else dtype,
        attention=AttentionForm.AUTO,
        # Logits come whole: of a batch of unknown size nobody knows how many chunks it makes.
        logits_bytes=4 * model.vocab_size * _MAX_ROWS * 2**16,
    )
    return dataclasses.replace(model, compute=compute)


def _check(model: ModelConfig, inputs_length: int, decoding: DecodingConfig) -> None:
    if model.prompt_length:
        raise UserError(
            f"the model has a learned prompt (prompt_length={model.prompt_length}), which "
            "--format=stablehlo does not know; needed is a model without."
        )
    if model.denoises:
        raise UserError(
            "the model's decoder sees all of its positions, and --format=stablehlo knows decoders "
            "that write token after token: needed is --format=checkpoint."
        )
    needed, learned = 1 + inputs_length + decoding.max_decode_length, model.max_length
    if model.decoder is None:
        needed = inputs_length
    if len(model.stacks) == 1 and learned is not None and needed > learned:
        raise UserError(
            f"inputs_length={inputs_length} and max_decode_length={decoding.max_decode_length} "
            f"need {needed} positions, and the model has learned {learned}: give a smaller "
            "--inputs_length or --max_decode_length."
        )


def _write_program(
    folder: pathlib.Path,
    name: str,
    program: Program,
    parameters: Mapping[str, np.ndarray],
    platforms: tuple[str, ...],
) -> dict[str, Any]:
    """What the manifest says of it."""
    (rows,) = jax.export.symbolic_shape("batch", constraints=[f"batch <= {_MAX_ROWS}"])
    abstract = {
        key: jax.ShapeDtypeStruct(each.shape, each.dtype) for key, each in parameters.items()
    }
    given = [_abstract(argument, rows) for argument in program.arguments]
    exported = jax.export.export(jax.jit(program.function), platforms=platforms)(abstract, *given)
    file = f"{name}.jax_export"
    (folder / file).write_bytes(exported.serialize())
    results = zip(program.results, exported.out_avals, strict=True)
    return {
        "file": file,
        "arguments": [{"name": "parameters"}]
        + [
            {"name": argument.name, **_described(abstract)}
            for argument, abstract in zip(program.arguments, given, strict=True)
        ],
        "results": [{"name": key, **_described(each)} for key, each in results],
        "calling_convention_version": exported.calling_convention_version,
    }


def _abstract(argument: Argument, rows: Any) -> jax.ShapeDtypeStruct:
    shape = [rows if isinstance(size, str) else size for size in argument.shape]
    return jax.ShapeDtypeStruct(shape, jnp.int32)


def _described(array: Any) -> dict[str, Any]:
    shape = [size if isinstance(size, int) else str(size) for size in array.shape]
    return {"shape": shape, "dtype": str(array.dtype)}
