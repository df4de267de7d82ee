"""What a job can choose without changing its numbers: mesh, sharding, remat, microbatches."""

import dataclasses
import enum
from collections.abc import Iterator

from t5x_lite.model.choices import Remat
from t5x_lite.model.config import ModelConfig
from t5x_lite.partitioning.config import AxisRules, PartitioningConfig
from t5x_lite.partitioning.rules import divisors
from t5x_lite.planning.topologies import Topology
from t5x_lite.training.config import TrainConfig

RematChoice = Remat | tuple[str, ...]

# Beside the three that have names: less than MINIMAL, without what is widest.
_LISTS = (("out",), ("query", "key", "value", "out"))
_MOST_PARTITIONS = 64


class Between(enum.Enum):
    """How activations are split over `model` between sub-layers, by the file of the mesh."""

    WHOLE = "standard"
    LENGTH = "sequence"
    EMBED = "two_dimensional"

    @property
    def rows(self) -> AxisRules:
        """As gin/meshes/standard.gin has them, with the macros of the others."""
        length = "model" if self is Between.LENGTH else None
        embed = "model" if self is Between.EMBED else None
        return (("length", length), ("embed", embed))


@dataclasses.dataclass(frozen=True)
class Choice:
    """One way to compute a job's step; `slices` is that of the topology."""

    num_partitions: int
    between: Between
    fully_sharded: bool
    remat: RematChoice
    num_microbatches: int
    slices: int = 1

    def applied(self, job: TrainConfig) -> TrainConfig:
        """The job computed so."""
        compute = dataclasses.replace(job.model.compute, remat=self.remat)
        return dataclasses.replace(
            job,
            model=dataclasses.replace(job.model, compute=compute),
            partitioning=self.partitioning(job.partitioning),
            num_microbatches=self.num_microbatches,
        )

    def partitioning(self, given: PartitioningConfig) -> PartitioningConfig:
        """The mesh and its rules, of which only the table is as it was."""
        several = self.slices > 1
        axes = (("slice", self.slices), ("data", None), ("model", self.num_partitions))
        return PartitioningConfig(
            num_partitions=self.num_partitions,
            mesh_axes=axes if several else None,
            logical_axis_rules=given.logical_axis_rules,
            parameter_axis_rules=self._parameter_rules,
            activation_axis_rules=(
                ("batch", ("slice", "data") if several else "data"),
                *self.between.rows,
            ),
        )

    @property
    def remat_as_gin(self) -> str:
        """As the macro REMAT has it."""
        return repr(self.remat.value) if isinstance(self.remat, Remat) else repr(self.remat)

    def as_gin(self) -> str:
        """The lines of a gin file that is read behind a recipe. Includes would be too late to put
        back what other files of meshes have said: each file is read once.
        """
        rules = dict(self.partitioning(PartitioningConfig()).activation_axis_rules)
        slices = f'(("slice", {self.slices}), ("data", None), ("model", %NUM_PARTITIONS))'
        bindings = {
            "NUM_PARTITIONS": self.num_partitions,
            "NUM_MICROBATCHES": self.num_microbatches,
            "REMAT": self.remat_as_gin,
            **{f"{axis.upper()}_AXES": repr(split) for axis, split in rules.items()},
            "PartitioningConfig.mesh_axes": slices if self.slices > 1 else None,
            "PartitioningConfig.parameter_axis_rules": self._parameter_rules,
        }
        lines = (f"{name} = {value}" for name, value in bindings.items())
        return "\n".join(['include "meshes/standard.gin"', "", *lines, ""])

    @property
    def _parameter_rules(self) -> AxisRules:
        """As gin/meshes/fully_sharded.gin has them."""
        return (("embed", "data"),) if self.fully_sharded else ()


def remats(model: ModelConfig) -> list[RematChoice]:
    """From what keeps most to what keeps least; where some is offloaded NONE is no choice."""
    found: list[RematChoice] = [Remat.NONE, Remat.MINIMAL, *reversed(_LISTS), Remat.FULL]
    return found[1:] if model.compute.offload else found


def meshes(job: TrainConfig, topology: Topology) -> Iterator[tuple[int, Between, bool]]:
    """(NUM_PARTITIONS, split of activations, whether fully sharded) that divide the devices of a
    slice, and heads, hidden units, vocabulary and rows of the job.
    """
    in_slice = topology.num_devices // topology.slices
    for partitions in divisors(in_slice):
        if partitions > _MOST_PARTITIONS or not _divides(job, topology, partitions):
            continue
        for between in Between:
            if partitions > 1 or between is Between.WHOLE:
                yield partitions, between, True
                yield partitions, between, False


def _divides(job: TrainConfig, topology: Topology, partitions: int) -> bool:
    model, block = job.model, job.model.block
    widths = (block.attention.num_heads, block.mlp.mlp_dim, model.vocab_size)
    data = topology.num_devices // partitions
    return not any(width % partitions for width in widths) and not job.dataset.batch_size % data


def microbatches(job: TrainConfig, topology: Topology, partitions: int) -> list[int]:
    """Numbers that divide the rows of each device, ascending."""
    return divisors(job.dataset.batch_size * partitions // topology.num_devices)
