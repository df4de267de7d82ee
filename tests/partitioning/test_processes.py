import threading
import types

import jax
import pytest

from t5x_lite import cli
from t5x_lite.errors import UserError
from t5x_lite.partitioning import processes


@pytest.fixture(name="joined")
def _joined(monkeypatch):
    """What would have been given to jax.distributed.initialize."""
    calls = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *args, **kw: calls.append((args, kw)))
    return calls


@pytest.fixture(autouse=True)
def _no_launcher(monkeypatch):
    """These tests may themselves run under SLURM or in a pod."""
    monkeypatch.setattr(processes.os, "environ", {})


@pytest.fixture(name="tpu_vm")
def _tpu_vm(monkeypatch):
    """A host with libtpu and chips, as far as can be seen without a backend."""
    monkeypatch.setattr(processes.importlib.util, "find_spec", lambda name: name == "libtpu")
    monkeypatch.setattr(processes.glob, "glob", lambda pattern: ["/dev/accel0"])
    platforms = jax.config.jax_platforms
    jax.config.update("jax_platforms", None)
    yield
    jax.config.update("jax_platforms", platforms)


def test_without_flags_this_is_the_only_process(joined):
    processes.initialize()
    assert not joined


def test_every_contradiction_of_the_flags_is_listed():
    """One launch, all mistakes."""
    with pytest.raises(ValueError, match="many processes") as error:
        processes.initialize("10.0.0.2", None, -3, timeout_s=0)
    lines = str(error.value).splitlines()[1:]
    assert len(lines) == 4
    assert "--process_count missing" in lines[0]
    assert "--coordinator_address=10.0.0.2: needed is host:port" in lines[1]
    assert "--process_index=-3: needed is 0 to process_count - 1" in lines[2]
    assert "--initialization_timeout=0" in lines[3]


def test_an_index_beyond_the_count_is_refused():
    """Counting from one is the usual mistake."""
    with pytest.raises(ValueError, match="--process_index=2: needed is 0 to 1"):
        processes.initialize("localhost:1234", 2, 2)


def test_more_processes_than_jax_sees_are_refused(joined):
    """Else each of them would train alone on its own devices."""
    with pytest.raises(ValueError, match="--process_count=2, but JAX's cpu devices belong to 1"):
        _initialize_without_rendezvous("localhost:1234", 2, 0)
    ((arguments, _),) = joined
    assert arguments == ("localhost:1234", 2, 0)


@pytest.mark.parametrize(
    ("tasks_per_node", "detection"), [("1(x2)", "deactivate"), ("4(x2)", None)]
)
def test_a_step_of_slurm_joins_without_flags(tasks_per_node, detection, joined, monkeypatch):
    """A process that has its host for itself has all of its devices, else JAX shares them out."""
    monkeypatch.setattr(processes.os, "environ", slurm(SLURM_STEP_TASKS_PER_NODE=tasks_per_node))
    with pytest.raises(ValueError, match="belong to 1 process"):
        _initialize_without_rendezvous()
    ((arguments, settings),) = joined
    assert arguments == ("node001:61451", 2, 1)
    assert settings["cluster_detection_method"] == detection


def slurm(**others):
    """What srun gives to the second of two processes."""
    return {
        "SLURM_JOB_ID": "11",
        "SLURM_STEP_ID": "0",
        "SLURM_STEP_NODELIST": "node[001-002]",
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_PROCID": "1",
        **others,
    }


def test_flags_go_before_what_a_launcher_says(joined, monkeypatch):
    monkeypatch.setattr(processes.os, "environ", slurm())
    with pytest.raises(ValueError, match="--process_count=3"):
        _initialize_without_rendezvous("other:1234", 3)
    ((arguments, _),) = joined
    assert arguments == ("other:1234", 3, 1)


@pytest.mark.parametrize("flags", [(None, 1), (None, 1, 0)])
def test_a_process_of_several_may_be_told_to_work_alone(flags, joined, monkeypatch):
    """As when each answers a shard of its own."""
    monkeypatch.setattr(processes.os, "environ", slurm())
    processes.initialize(*flags)
    assert not joined


MPI = {"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3"}


def test_without_an_address_processes_of_a_launcher_are_refused(joined, monkeypatch):
    """Each would train alone in one MODEL_DIR."""
    monkeypatch.setattr(processes.os, "environ", MPI)
    with pytest.raises(UserError, match="process 3 of 4.*--coordinator_address=HOST:PORT to all"):
        processes.initialize()
    monkeypatch.setattr(processes.os, "environ", {"JOB_COMPLETION_INDEX": "1"})
    with pytest.raises(UserError, match="1 of several.*HOST:PORT --process_count=N to all"):
        processes.initialize()
    assert not joined


@pytest.mark.parametrize("index", [0, 1])
def test_a_pod_knows_its_index(index, joined, monkeypatch):
    """The first one may be the only one of its job, and is, if nothing is given."""
    monkeypatch.setattr(processes.os, "environ", {"JOB_COMPLETION_INDEX": str(index)})
    with pytest.raises(ValueError, match="belong to 1 process"):
        _initialize_without_rendezvous("pod-0:1234", 2)
    ((arguments, _),) = joined
    assert arguments == ("pod-0:1234", 2, index)
    if index == 0:
        processes.initialize()
        assert len(joined) == 1


def test_under_mpi_the_address_is_enough(joined, monkeypatch):
    monkeypatch.setattr(processes.os, "environ", MPI)
    with pytest.raises(ValueError, match="belong to 1 process"):
        _initialize_without_rendezvous("host0:1234")
    ((arguments, _),) = joined
    assert arguments == ("host0:1234", 4, 3)


def _initialize_without_rendezvous(*arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes.rendezvous, "answer", lambda process: {})
        patch.setattr(processes, "_keep_watch", lambda index, connections: None)
        processes.initialize(*arguments)


def test_a_tpu_vm_joins_its_slice_without_flags(joined, tpu_vm):
    processes.initialize(timeout_s=6.5)
    assert joined == [((), {"initialization_timeout": 7})]


def test_simulated_devices_on_a_tpu_vm_join_nothing(joined, tpu_vm):
    """A dry run on one host of a pod must not wait for the others."""
    jax.config.update("jax_platforms", "cpu")
    processes.initialize()
    assert not joined


def test_the_hosts_of_a_slice_compare_what_they_were_started_with(joined, tpu_vm, monkeypatch):
    given = []
    monkeypatch.setattr(processes.distributed, "global_state", types.SimpleNamespace(client="it"))
    monkeypatch.setattr(processes.jax, "process_count", lambda: 2)
    monkeypatch.setattr(
        processes.consistency, "compare", lambda *arguments: given.append(arguments)
    )
    processes.initialize(timeout_s=6, facts=lambda: {"TRAIN_STEPS": "3"})
    ((facts, *others),) = given
    assert facts["TRAIN_STEPS"] == "3" and "version of jax" in facts
    assert others == ["it", 0, 2, 6]


def test_processes_need_as_many_devices_each(monkeypatch):
    """Hosts of which one has lost a GPU."""
    devices = [types.SimpleNamespace(process_index=index) for index in (0, 0, 1, 2, 2)]
    monkeypatch.setattr(processes.jax, "devices", lambda: devices)
    message = r"process 1 has fewer devices \(1\) than process 0 \(2\)"
    with pytest.raises(UserError, match=message):
        processes._check_devices()
    monkeypatch.setattr(processes.jax, "devices", lambda: devices[:2])
    processes._check_devices()


def _no_cluster(*arguments, **settings):
    raise ValueError("coordinator_address should be defined.")


def test_a_lone_tpu_trains_alone(tpu_vm, monkeypatch):
    """A notebook with one TPU has no metadata server and no other hosts."""
    monkeypatch.setattr(jax.distributed, "initialize", _no_cluster)
    monkeypatch.setenv("TPU_WORKER_HOSTNAMES", "localhost")
    processes.initialize()


def test_a_pod_that_jax_does_not_understand_is_an_error(tpu_vm, monkeypatch):
    """Going on would train one copy per host."""
    monkeypatch.setattr(jax.distributed, "initialize", _no_cluster)
    monkeypatch.setenv("TPU_WORKER_HOSTNAMES", "host-0,host-1")
    with pytest.raises(ValueError, match="has the hosts host-0,host-1.*give --coordinator_address"):
        processes.initialize()


@pytest.mark.parametrize(("count", "statuses"), [(1, []), (2, [130])])
def test_a_process_with_an_error_does_not_wait_for_the_others(count, statuses, monkeypatch):
    """They wait for its part of a sum, and JAX would have it wait for them for five minutes."""
    left = threading.Event()
    found = []
    monkeypatch.setattr(processes.jax.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(processes.jax, "process_count", lambda: count)
    monkeypatch.setattr(processes, "_SECONDS_TO_LEAVE", 0.0)
    monkeypatch.setattr(processes.os, "_exit", lambda status: (found.append(status), left.set()))
    assert cli._wait_for_no_one(130) == 130
    left.wait(5.0 if statuses else 0.05)
    assert found == statuses
