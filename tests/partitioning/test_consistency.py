"""What processes of one job must have in common, and how a difference reads."""

import concurrent.futures
import sys
import threading

from t5x_lite.errors import UserError
from t5x_lite.partitioning import consistency

CONFIG = """BATCH_SIZE = 128
LEARNING_RATE = 1.0
VOCABULARY = '/here/my.model'
import my_tasks

train/DatasetConfig.vocabulary = '/here/my.model'
train/DatasetConfig.task_files = '/data/glue'
TrainConfig.model_dir = %MODEL_DIR
"""


def differing(first, *others):
    return consistency.differences(dict(enumerate([first, *others])))


def test_processes_that_are_alike_have_no_differences():
    facts = {**consistency.versions(), **consistency.settings(CONFIG)}
    assert not differing(facts, dict(facts), dict(facts))


def test_a_setting_a_missing_one_and_a_version_are_named():
    first = {"LEARNING_RATE": "1.0", "version of jax": "0.10.2"}
    text = differing(first, {"version of jax": "0.11.0", "import my_tasks": "given"})
    assert (
        "process 1: LEARNING_RATE = not given (process 0: 1.0); version of jax = 0.11.0 "
        "(process 0: 0.10.2); import my_tasks = given (process 0: not given)"
    ) in text


def test_processes_that_differ_alike_are_named_together_and_long_lists_are_cut():
    first = {f"A{number}": "1" for number in range(8)}
    other = {f"A{number}": "2" * 200 for number in range(8)}
    text = differing(first, other, first, other)
    (line,) = text.splitlines()[1:-1]
    assert line.startswith("  process 1, 3: A0 = 222")
    assert line.endswith(" and 3 more")
    assert len(line) < 1000


def test_files_that_are_only_read_may_lie_elsewhere():
    """Their paths do not count; where the run writes does."""
    found = consistency.settings(CONFIG)
    assert found == {
        "BATCH_SIZE": "128",
        "LEARNING_RATE": "1.0",
        "import my_tasks": "given",
        "TrainConfig.model_dir": "%MODEL_DIR",
    }


def test_versions_are_those_of_what_runs():
    found = consistency.versions()
    assert found["version of python"] == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert "none" not in found.values()


class Store:
    """JAX's key-value store, for threads in place of processes."""

    def __init__(self):
        self._values, self._changed = {}, threading.Condition()

    def key_value_set(self, key, value):
        with self._changed:
            self._values[key] = value
            self._changed.notify_all()

    def blocking_key_value_get(self, key, timeout_ms):
        with self._changed:
            assert self._changed.wait_for(lambda: key in self._values, timeout_ms / 1000)
            return self._values[key]


def compared(*facts):
    """What `compare` raises on each process."""
    store, count = Store(), len(facts)
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        futures = [
            pool.submit(consistency.compare, facts[i], store, i, count, 5.0) for i in range(count)
        ]
        return [future.exception() for future in futures]


def test_processes_that_jax_brought_together_are_compared_too():
    """Those of a TPU slice."""
    one, other = {"LEARNING_RATE": "1.0"}, {"LEARNING_RATE": "0.5"}
    assert compared(one, dict(one), dict(one)) == [None] * 3
    errors = compared(one, other, dict(one))
    assert [type(error) for error in errors] == [UserError] * 3
    assert all("process 1: LEARNING_RATE = 0.5 (process 0: 1.0)" in str(e) for e in errors)
