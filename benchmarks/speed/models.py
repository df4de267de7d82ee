"""The model that all arms of a run have in common, written by our own export."""

import shutil
from typing import Any

import jax
import numpy as np
from etils import epath

from benchmarks.speed.arm import Prepared, nothing
from benchmarks.speed.settings import Settings
from t5x_lite.checkpoints import huggingface
from t5x_lite.model import transformer

# Than kernels are initialized, where the head is tied.
_LOUDER = 3.0


def write(settings: Settings) -> Prepared:
    """A Hugging Face directory: random weights, a made-up vocabulary. One that is there stays."""
    model, directory = settings.model, settings.directory
    if not directory.exists():
        parameters = jax.device_get(
            transformer.init_parameters(model, jax.random.key(settings.seed))
        )
        ordinary = settings.family.ordinary(model.vocab_size)
        tokenizer = settings.family.tokenizer(model.vocab_size)
        being_written = directory.with_suffix(".tmp")
        shutil.rmtree(being_written, ignore_errors=True)
        being_written.parent.mkdir(parents=True, exist_ok=True)
        if model.logits_via_embedding:
            parameters = without_copies(parameters)
        silent = without_end(parameters, ordinary)
        huggingface.save(epath.Path(being_written), model, silent, tokenizer)
        being_written.rename(directory)
    return Prepared(nothing, {"parameters": transformer.num_parameters(model)})


def without_end(parameters: dict[str, Any], ordinary: range) -> dict[str, Any]:
    """A model that never ends a text and writes ordinary pieces only: the logits of all other ids
    are 0, which is below the largest of thousands that are random. So every decoder writes as many
    tokens as it may, and nobody's way of forbidding the end token is measured.

    Args:
        parameters: whose head is a kernel of its own, or the table of tokens.
    """
    if "logits_dense" in parameters["decoder"]:
        holder, name, axis = parameters["decoder"]["logits_dense"], "kernel", 1
    else:
        holder, name, axis = parameters["token_embedder"], "embedding", 0
    weights = np.array(holder[name])
    by_id = np.moveaxis(weights, axis, 0)
    by_id[: ordinary.start] = 0.0
    by_id[ordinary.stop :] = 0.0
    holder[name] = weights
    return parameters


def without_copies(parameters: dict[str, Any]) -> dict[str, Any]:
    """A model with a tied head whose tokens depend on all that it has read. As it is initialized it
    writes its last token again and again, whatever a cache holds: signs of the last norm's scale
    hide that token from the head, and larger kernels let attention and feed-forward layers speak.
    """
    decoder = parameters["decoder"]
    scale = decoder["decoder_norm"]["scale"]
    signs = np.random.default_rng(0).choice(np.array([-1.0, 1.0], np.float32), scale.shape)
    decoder["decoder_norm"]["scale"] = scale * signs
    decoder["layers"] = jax.tree_util.tree_map_with_path(
        lambda path, leaf: leaf * _LOUDER if path[-1].key == "kernel" else leaf, decoder["layers"]
    )
    return parameters
