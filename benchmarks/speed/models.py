"""The model that all arms of a run have in common, written by our own export."""

import shutil
from typing import Any

import jax
import numpy as np
from etils import epath

from benchmarks.speed import vocabulary
from benchmarks.speed.arm import Prepared, nothing
from benchmarks.speed.settings import Settings
from t5x_lite.checkpoints import huggingface
from t5x_lite.model import transformer


def write(settings: Settings) -> Prepared:
    """A Hugging Face directory: random weights, a made-up vocabulary. One that is there stays."""
    model, directory = settings.model, settings.directory
    if not directory.exists():
        parameters = jax.device_get(
            transformer.init_parameters(model, jax.random.key(settings.seed))
        )
        tokenizer = vocabulary.made_up(model.vocab_size)
        being_written = directory.with_suffix(".tmp")
        shutil.rmtree(being_written, ignore_errors=True)
        being_written.parent.mkdir(parents=True, exist_ok=True)
        huggingface.save(epath.Path(being_written), model, without_end(parameters), tokenizer)
        being_written.rename(directory)
    return Prepared(nothing, {"parameters": transformer.num_parameters(model)})


def without_end(parameters: dict[str, Any]) -> dict[str, Any]:
    """A model that never ends a text and writes ordinary pieces only: the logits of all other ids
    are 0, which is below the largest of thousands that are random. So every decoder writes as many
    tokens as it may, and nobody's way of forbidding the end token is measured.
    """
    kernel = np.array(parameters["decoder"]["logits_dense"]["kernel"])
    kernel[:, : vocabulary.FIRST_ORDINARY] = 0.0
    kernel[:, vocabulary.num_pieces(kernel.shape[1]) :] = 0.0
    parameters["decoder"]["logits_dense"]["kernel"] = kernel
    return parameters
