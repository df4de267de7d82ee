"""A training step on slices of TPUs as a value, and the job that it stands for."""

import dataclasses
from collections.abc import Mapping

from t5x_lite import config
from t5x_lite.planning import topologies
from t5x_lite.planning.topologies import Topology
from t5x_lite.training.config import TrainConfig

# Rows of span corruption, as T5 was pre-trained.
LENGTHS = {"inputs": 512, "targets": 114}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
    """Pre-training of a model of gin/models/t5_1_1, as T5 v1.1 was: Adafactor, no dropout.

    Attributes:
        topology: the name of a slice, of which there are `slices`.
        meshes: of gin/meshes, the first one first.
        batch_size: rows of `LENGTHS` on all chips.
        values: what else is bound in gin.
    """

    model: str
    topology: str
    slices: int = 1
    meshes: tuple[str, ...] = ("fully_sharded",)
    num_partitions: int = 1
    remat: str = "full"
    num_microbatches: int = 1
    batch_size: int
    values: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def machine(self) -> Topology:
        """The slices."""
        return topologies.find(self.topology, slices=self.slices)

    @property
    def job(self) -> TrainConfig:
        """The job; its task is not looked up."""
        values = {
            "MODEL_DIR": "nowhere",
            "MIXTURE_OR_TASK_NAME": "not_looked_up",
            "TASK_FEATURE_LENGTHS": LENGTHS,
            "TRAIN_STEPS": 1_000_000,
            "DROPOUT_RATE": 0.0,
            "BATCH_SIZE": self.batch_size,
            "NUM_PARTITIONS": self.num_partitions,
            "NUM_MICROBATCHES": self.num_microbatches,
            "REMAT": self.remat,
            **({"NUM_SLICES": self.slices} if "multislice" in self.meshes else {}),
            **self.values,
        }
        files = (f"models/t5_1_1/{self.model}.gin", "recipes/pretrain.gin")
        meshes = (f"meshes/{name}.gin" for name in self.meshes)
        overrides = [("--gin", f"{name}={value}") for name, value in values.items()]
        return config.resolve(TrainConfig, (*files, *meshes), overrides=overrides).config

    @property
    def mesh(self) -> str:
        """As "64 x 4": data x model of a slice."""
        chips = self.machine.num_chips // self.slices
        return f"{chips // self.num_partitions} x {self.num_partitions}"
