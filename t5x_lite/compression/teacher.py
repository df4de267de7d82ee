"""A frozen model that reads what the trained one reads, for terms of a loss that match it."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from jaxtyping import Array

from t5x_lite.checkpoints import pretrained
from t5x_lite.checkpoints.parameters import abstract_parameters
from t5x_lite.compression import fitting
from t5x_lite.errors import UserError
from t5x_lite.features.outputs import Outputs, Wanted
from t5x_lite.losses.config import TermConfig
from t5x_lite.model import transformer
from t5x_lite.model.config import ModelConfig
from t5x_lite.partitioning.partitioner import Partitioner


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A checkpoint, a model directory or a foreign one; its parameters are read when they are first
    needed, and lie on the mesh as the trained model's do.
    """

    path: str
    model: ModelConfig
    partitioner: Partitioner

    @functools.cached_property
    def parameters(self) -> Any:
        """On the devices."""
        return pretrained.load_parameters(self.path, self.model, self.partitioner)[0]

    @property
    def abstract(self) -> Any:
        """Shape, dtype and sharding of every parameter; none is read for it."""
        return abstract_parameters(self.model, self.partitioner)

    @property
    def shardings(self) -> Any:
        """The sharding of every parameter."""
        return jax.tree.map(lambda leaf: leaf.sharding, self.abstract)

    def outputs(self, parameters: Any, batch: Mapping[str, Array], wanted: Wanted) -> Outputs:
        """What it says of a batch, without dropout and without a gradient."""
        with self.partitioner.activations():
            outputs = transformer.apply(self.model, parameters, batch, wanted=wanted)
        return jax.lax.stop_gradient(outputs)


def make_teacher(
    path: str, student: ModelConfig, partitioner: Partitioner, terms: Sequence[TermConfig] = ()
) -> Teacher:
    """The teacher of a path, before any tensor is read.

    Raises:
        UserError: it reads or writes another way than the model that it teaches, or does not fit
            the terms that match it.
        FileNotFoundError: there is no checkpoint.
    """
    try:
        model = pretrained.describe(path).model
    except FileNotFoundError as error:
        flag = "name a teacher: --gin.TrainConfig.teacher_path=..."
        raise FileNotFoundError(f"{error} To be taught, {flag}") from error
    for name in ("layout", "vocab_size", "special"):
        theirs, ours = getattr(model, name), getattr(student, name)
        if theirs != ours:
            raise UserError(
                f"the teacher {path} has {name}={theirs}, the model that trains {ours}: needed is "
                "a teacher that reads the same batches and scores the same tokens."
            )
    fitting.check(terms, student, model, path)
    return Teacher(path, model, partitioner)
