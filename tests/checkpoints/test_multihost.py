"""What process 0 tells the others; two of them as threads, with a store in place of JAX's."""

import concurrent.futures
import threading
import types

import pytest

from t5x_lite.checkpoints import multihost
from t5x_lite.errors import UserError


class Store:
    def __init__(self):
        self._values, self._changed = {}, threading.Condition()

    def key_value_set(self, key, value):
        assert value, "JAX has no empty values"
        with self._changed:
            assert key not in self._values, "a name is used once"
            self._values[key] = value
            self._changed.notify_all()

    def blocking_key_value_get(self, key, timeout_ms):
        with self._changed:
            assert self._changed.wait_for(lambda: key in self._values, timeout=5)
            return self._values[key]


@pytest.fixture(name="both")
def _both(monkeypatch):
    """Calls a function of the index on two processes; results or errors, in their order."""
    here = threading.local()
    state = types.SimpleNamespace(client=Store())
    monkeypatch.setattr(multihost, "is_multihost", lambda: True)
    monkeypatch.setattr(multihost.jax, "process_index", lambda: here.index)
    monkeypatch.setattr(multihost.distributed, "global_state", state)

    def call(function):
        # Each process counts for itself, as processes do.
        numbers = {0: iter(range(9)), 1: iter(range(9))}
        monkeypatch.setattr(multihost, "number", lambda: next(numbers[here.index]))

        def on(index):
            here.index = index
            return function(index)

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            futures = [pool.submit(on, index) for index in (1, 0)][::-1]
            return [future.exception() or future.result() for future in futures]

    return call


@pytest.mark.parametrize("text", ["", "=", "no space left"])
def test_all_get_the_text_of_the_first(both, text):
    assert (
        both(lambda index: multihost.broadcast_text("save_1", "" if index else text)) == [text] * 2
    )


def test_only_the_first_looks(both):
    looked = []

    def find(index):
        return multihost.broadcast_result(lambda: looked.append(index) or [index, "steps"])

    assert both(lambda index: (find(index), find(index))) == [([0, "steps"], [0, "steps"])] * 2
    assert looked == [0, 0]


@pytest.mark.parametrize("kind", [UserError, FileNotFoundError])
def test_what_the_first_cannot_find_is_an_error_of_all(both, kind):
    """Else the others would wait for an hour."""

    def fail():
        raise kind("no checkpoint there")

    errors = both(lambda index: multihost.broadcast_result(fail))
    assert [str(error) for error in errors] == ["no checkpoint there"] * 2
    assert all(isinstance(error, UserError if kind is UserError else OSError) for error in errors)


def test_a_lone_process_finds_for_itself():
    assert multihost.broadcast_result(lambda: {1: "not of JSON"}) == {1: "not of JSON"}
