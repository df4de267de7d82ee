"""What launchers put into the environment, and what a process makes of it."""

import pytest

from t5x_lite.partitioning.launchers import Place, find

SRUN = {
    "SLURM_JOB_ID": "4099",
    "SLURM_STEP_ID": "2",
    "SLURM_STEP_NODELIST": "node[001-004,007],other",
    "SLURM_STEP_NUM_TASKS": "6",
    "SLURM_STEP_TASKS_PER_NODE": "1(x6)",
    "SLURM_NTASKS": "6",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "0",
}
# Inherited by what mpirun's helpers start, one of which srun has put on each of two nodes.
INHERITED = SRUN | {"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"}
OPEN_MPI = {"OMPI_COMM_WORLD_SIZE": "8", "OMPI_COMM_WORLD_RANK": "5"}


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        (SRUN, Place("SLURM", 6, 3, "node001:61445", has_host=True)),
        (
            SRUN | {"PMI_SIZE": "6", "PMI_RANK": "3"},
            Place("SLURM", 6, 3, "node001:61445", has_host=True),
        ),
        (
            SRUN | {"SLURM_STEP_TASKS_PER_NODE": "2(x2),1(x2)"},
            Place("SLURM", 6, 3, "node001:61445"),
        ),
        (
            SRUN | {"JAX_COORDINATOR_ADDRESS": "10.0.0.1:1234"},
            Place("SLURM", 6, 3, "10.0.0.1:1234", has_host=True),
        ),
        (OPEN_MPI, Place("Open MPI", 8, 5)),
        (INHERITED | OPEN_MPI | {"OMPI_COMM_WORLD_LOCAL_SIZE": "4"}, Place("Open MPI", 8, 5)),
        (
            OPEN_MPI | {"OMPI_COMM_WORLD_LOCAL_SIZE": "1"},
            Place("Open MPI", 8, 5, has_host=True),
        ),
        ({"PMI_SIZE": "2", "PMI_RANK": "0"}, Place("MPI", 2, 0)),
        (
            {"WORLD_SIZE": "4", "RANK": "1"},
            Place("the launcher that set WORLD_SIZE", 4, 1),
        ),
        ({"JOB_COMPLETION_INDEX": "2"}, Place("Kubernetes", None, 2)),
        ({"JOB_COMPLETION_INDEX": "0"}, Place("Kubernetes", None, 0)),
    ],
)
def test_one_of_several(environment, place):
    assert find(environment) == place


@pytest.mark.parametrize(
    "environment",
    [
        {},
        SRUN | {"SLURM_NTASKS": "1", "SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"},
        # The shell of salloc -n 6, with and without a step of its own; a batch script.
        {"SLURM_JOB_ID": "4099", "SLURM_NTASKS": "6", "SLURM_NODELIST": "node[001-006]"},
        SRUN | {"SLURM_STEP_NUM_TASKS": "1", "SLURM_PROCID": "0"},
        {"SLURM_JOB_ID": "4099", "SLURM_NTASKS": "6", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"},
        {"OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_RANK": "0"},
        INHERITED | {"OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_RANK": "0"},
        {"WORLD_SIZE": "1"},
        {"WORLD_SIZE": "many", "RANK": "0"},
        {"KUBERNETES_SERVICE_HOST": "10.0.0.1"},
    ],
)
def test_the_only_one(environment):
    assert find(environment) is None


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("node001", "node001"),
        ("node001,other", "node001"),
        ("gpu-a[3-4]", "gpu-a3"),
        ("r[1-2]n[05,07]", "r1n05"),
    ],
)
def test_the_first_node_of_a_list_is_where_process_0_is(nodes, first):
    place = find(SRUN | {"SLURM_STEP_NODELIST": nodes})
    assert place.address == f"{first}:61445"
