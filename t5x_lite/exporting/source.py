"""What is exported: a trained model of any path, as plain as it can be, on the host."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from t5x_lite.checkpoints import pretrained, sparse_tensors
from t5x_lite.checkpoints.description import Description
from t5x_lite.compression import ranges
from t5x_lite.display.progress import say
from t5x_lite.finetuning.lora import merge
from t5x_lite.inference import restored
from t5x_lite.model import transformer
from t5x_lite.model.config import ModelConfig
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.text.tokenizer import Tokenizer


@dataclasses.dataclass(frozen=True)
class Source:
    """A model with LoRA put into its kernels, NumPy parameters, its tokenizer if there is one, what
    it says of the run that trained it, if it does, and whether it is stored without its zeros.
    """

    model: ModelConfig
    parameters: dict[str, Any]
    step: int
    tokenizer: Tokenizer | None
    description: Description | None
    is_sparse: bool = False

    @property
    def task_feature_lengths(self) -> Mapping[str, int]:
        """Of the run that trained it; empty if it does not say."""
        dataset = {} if self.description is None else self.description.dataset
        return dataset.get("task_feature_lengths") or {}

    @property
    def num_bytes(self) -> int:
        """Of the parameters."""
        return sum(leaf.nbytes for leaf in jax.tree.leaves(self.parameters))

    def quantized(self) -> "Source":
        """The same with weights as int8.

        Raises:
            UserError: they are int8 already, or ranges are not known.
        """
        ranges.check_known(self.parameters)
        model, parameters = transformer.quantize(self.model, self.parameters)
        host = jax.tree.map(np.asarray, parameters)
        return dataclasses.replace(self, model=model, parameters=host)

    def in_float32(self) -> "Source":
        """The same without products of 8 bits: what its weights are before they are rounded."""
        model = dataclasses.replace(self.model, quantization=None)
        return dataclasses.replace(self, model=model, parameters=ranges.without(self.parameters))


def read(path: str, vocabulary: str | None) -> Source:
    """The model of a checkpoint, a model directory (its newest) or a Hugging Face directory.

    Raises:
        FileNotFoundError, UserError: there is none, it is damaged, or `vocabulary` is not its own.
    """
    found = restored.describe((path,), None)
    (own,) = found.found
    tokenizer = _tokenizer(found, vocabulary)
    # A device holds it for a moment, one of several: a host is what exports.
    partitioner = make_partitioner(PartitioningConfig(), jax.devices()[:1])
    stored, step = pretrained.load_parameters(own.path, own.model, partitioner)
    model, parameters = merge(own.model, stored)
    if model != own.model:
        say("LoRA is put into the kernels")
    host = jax.tree.map(np.asarray, parameters)
    is_sparse = own.format is None and bool(sparse_tensors.shapes(own.path))
    return Source(model, host, step, tokenizer, own.description, is_sparse)


def _tokenizer(found: restored.Restored, vocabulary: str | None) -> Tokenizer | None:
    """Weights without a vocabulary are exported as well."""
    try:
        return found.tokenizer(vocabulary)
    except FileNotFoundError:
        if vocabulary is not None:
            raise
        say("no vocabulary is there, so none is exported; --vocabulary=PATH names one")
        return None
