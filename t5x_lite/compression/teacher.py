"""A frozen model that reads what the trained one reads, for terms of a loss that match it."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array

from t5x_lite.checkpoints import pretrained
from t5x_lite.checkpoints.parameters import abstract_parameters
from t5x_lite.compression import fitting
from t5x_lite.compression.memory import Memory, Said, said_of, with_said
from t5x_lite.data.config import DatasetConfig
from t5x_lite.errors import UserError
from t5x_lite.features.outputs import Outputs, Wanted
from t5x_lite.losses.config import TermConfig
from t5x_lite.losses.table import make_loss
from t5x_lite.model import transformer
from t5x_lite.model.config import ModelConfig
from t5x_lite.partitioning.partitioner import Partitioner


@dataclasses.dataclass(frozen=True)
class Teacher:
    """A checkpoint, a model directory or a foreign one; its parameters are read when they are first
    needed, and lie on the mesh as the trained model's do. With a `memory` what is `wanted` of rows
    that were seen before is read from there.
    """

    path: str
    model: ModelConfig
    partitioner: Partitioner
    wanted: Wanted | None = None
    memory: Memory | None = None

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
        return jax.lax.stop_gradient(with_said(outputs, batch))

    def placed(self, rows: Mapping[str, np.ndarray]) -> dict[str, Array]:
        """A global batch of this process's rows, with what the teacher says of it if it is kept."""
        batch = self.partitioner.global_batch(rows)
        if self.memory is None:
            return batch
        arguments = self.parameters, batch
        shapes = jax.eval_shape(self._say, *arguments)
        said = self.memory.recall(rows, shapes, lambda: jax.device_get(self._say(*arguments)))
        return batch | self.partitioner.global_batch(said)

    @functools.cached_property
    def _say(self) -> Callable[[Any, Mapping[str, Array]], Said]:
        wanted = self.wanted
        assert wanted is not None, "what is kept is wanted"
        say = jax.jit(
            lambda parameters, batch: said_of(self.outputs(parameters, batch, wanted)),
            out_shardings=self.partitioner.batch_sharding,
        )
        return say


def make_teacher(
    path: str,
    student: ModelConfig,
    partitioner: Partitioner,
    terms: Sequence[TermConfig] = (),
    cache: str | None = None,
    datasets: Sequence[DatasetConfig] = (),
) -> Teacher:
    """The teacher of a path, before any tensor is read.

    Args:
        terms: those of the loss; what they want of it is kept in the folder `cache`, if there is
            one.
        datasets: whose rows it is to read.

    Raises:
        UserError: it reads or writes another way than the model that it teaches, has learned fewer
            positions than rows have, or does not fit the terms that match it.
        FileNotFoundError: there is no checkpoint.
    """
    try:
        model = pretrained.describe(path).model
    except FileNotFoundError as error:
        flag = "name a teacher: --gin.TrainConfig.teacher_path=..."
        raise FileNotFoundError(f"{error} To be taught, {flag}") from error
    for name in ("layout", "vocab_size", "special", "prompt_length"):
        theirs, ours = getattr(model, name), getattr(student, name)
        if theirs != ours:
            raise UserError(
                f"the teacher {path} has {name}={theirs}, the model that trains {ours}: needed is "
                "a teacher that reads the same batches and scores the same tokens."
            )
    fitting.check(terms, student, model, path)
    for dataset in datasets:
        fitting.check_rows(dataset, model, path)
    if cache is None:
        return Teacher(path, model, partitioner)
    wanted = make_loss(terms).wanted_of_teacher
    assert wanted is not None, "a job without a term that matches it is refused"
    memory = Memory(cache, pretrained.identity(path), wanted)
    return Teacher(path, model, partitioner, wanted, memory)
