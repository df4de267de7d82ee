"""What this room knows of a run's states; `training.state` has them, and stands above."""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Array

from t5x_lite.features.outputs import Outputs, Wanted
from t5x_lite.model.config import ModelConfig
from t5x_lite.partitioning.partitioner import Partitioner


@runtime_checkable
class State(Protocol):
    """A train state: a frozen dataclass with at least these, as `training.state.TrainState`."""

    @property
    def step(self) -> Any:
        """Number of steps done."""

    @property
    def parameters(self) -> Any:
        """The model's."""

    @property
    def health(self) -> Any:
        """`health.Health`."""


@runtime_checkable
class States(Protocol):
    """Where the states of a run live, as `training.state.StateFactory` says it."""

    @property
    def model(self) -> ModelConfig:
        """Whose parameters they hold."""

    @property
    def partitioner(self) -> Partitioner:
        """The mesh."""

    @property
    def axes(self) -> State:
        """Logical axes of every leaf."""

    @property
    def abstract(self) -> State:
        """Shapes, dtypes and shardings of every leaf."""

    @property
    def shardings(self) -> State:
        """The sharding of every leaf."""

    @property
    def frozen(self) -> Mapping[str, Any]:
        """What steps read and never change: a teacher's parameters."""

    @property
    def frozen_shardings(self) -> Mapping[str, Any]:
        """The sharding of every leaf of it."""

    def taught(
        self, wanted: Wanted | None, frozen: Mapping[str, Any], batch: Mapping[str, Array]
    ) -> Outputs | None:
        """What the teacher says of a batch, if anything of it is wanted."""

    def __hash__(self) -> int:
        """Of values, so that what is compiled for them is found again."""
