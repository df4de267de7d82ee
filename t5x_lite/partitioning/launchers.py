"""What a launcher has put into the environment of a process: that it is one of several.

Each of them would train alone in one MODEL_DIR if nobody looked. How many they are and which this
is every launcher but Kubernetes says; where to meet only SLURM.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping

# Ports that nobody is given, as JAX chooses among them for SLURM.
_FIRST_PORT, _PORTS = 61440, 4096


@dataclasses.dataclass(frozen=True)
class Place:
    """This process among those that a launcher started.

    Attributes:
        count: how many they are; None where the launcher does not say.
        address: where process 0 can be met, if that is known.
        has_host: no other of them runs on this host, so that all its devices are for this one.
    """

    launcher: str
    count: int | None
    index: int
    address: str | None = None
    has_host: bool = False

    @property
    def may_be_the_only_one(self) -> bool:
        """Whether nothing speaks against it, as for the first pod of an indexed Kubernetes job."""
        return self.count is None and self.index == 0


@dataclasses.dataclass(frozen=True)
class _Variables:
    launcher: str
    count: str
    index: str


# In this order, because mpirun starts its own helpers with srun, whose variables processes inherit.
_VARIABLES = (
    _Variables("Open MPI", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    _Variables("MPI", "PMI_SIZE", "PMI_RANK"),
    _Variables("the launcher that set WORLD_SIZE", "WORLD_SIZE", "RANK"),
    # Of the step: a shell that salloc gives, or a batch script without srun, has the whole job's
    # SLURM_NTASKS and is one process all the same.
    _Variables("SLURM", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID"),
)
_KUBERNETES_INDEX = "JOB_COMPLETION_INDEX"


def find(environment: Mapping[str, str]) -> Place | None:
    """The place of this process; None if it is the only one."""
    places = list(_places(environment))
    if not places:
        index = _number(environment, _KUBERNETES_INDEX)
        return None if index is None else Place("Kubernetes", None, index)
    first = places[0]
    if first.count == 1:
        return None
    # MPI's start-up under srun says the same as srun itself.
    same = [each for each in places if (each.count, each.index) == (first.count, first.index)]
    place = next((each for each in same if each.launcher == "SLURM"), first)
    address = environment.get("JAX_COORDINATOR_ADDRESS")
    if address is None and place.launcher == "SLURM":
        address = _slurm_address(environment)
    return dataclasses.replace(place, address=address, has_host=_has_host(environment))


def _places(environment: Mapping[str, str]) -> Iterator[Place]:
    for names in _VARIABLES:
        count, index = _number(environment, names.count), _number(environment, names.index)
        if count is not None and (index is not None or count == 1):
            yield Place(names.launcher, count, index or 0)


def _number(environment: Mapping[str, str], name: str) -> int | None:
    text = environment.get(name, "")
    return int(text) if text.isdecimal() else None


def _slurm_address(environment: Mapping[str, str]) -> str | None:
    nodes, job = environment.get("SLURM_STEP_NODELIST"), _number(environment, "SLURM_JOB_ID")
    if not nodes or job is None:
        return None
    # node[001-004,007],other -> node001,other
    first_of_each = re.sub(r"\[([^\],-]+)[^\]]*\]", r"\1", nodes)
    number = job + (_number(environment, "SLURM_STEP_ID") or 0)
    return f"{first_of_each.partition(',')[0]}:{_FIRST_PORT + number % _PORTS}"


def _has_host(environment: Mapping[str, str]) -> bool:
    if (local := environment.get("OMPI_COMM_WORLD_LOCAL_SIZE")) is not None:
        return local == "1"
    per_host = environment.get("SLURM_STEP_TASKS_PER_NODE", "")
    return re.fullmatch(r"1(\(x\d+\))?", per_host) is not None  # 1(x4): one on each of 4
