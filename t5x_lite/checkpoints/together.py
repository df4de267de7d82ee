"""What several processes that write or read one checkpoint tell each other."""

import itertools

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

_TIMEOUT_SECONDS = 3600
# Every process takes the same numbers, because all begin the same things in the same order.
_numbers = itertools.count()


def number() -> int:
    """A number that all processes agree on and that names what they begin together."""
    return next(_numbers)


def wait_for_all(name: str) -> None:
    """Returns once every process is here; safe in a background thread, as it uses no device."""
    barrier = ocp.multihost.get_barrier_sync_fn()
    barrier(key=f"t5x_lite_{name}", timeout_ms=_TIMEOUT_SECONDS * 1000)


class Messages:
    """Texts of one subject that processes leave for each other, "<kind>/<name>" each; no device
    carries them.
    """

    def __init__(self, subject: str):
        self._prefix = f"t5x_lite/{subject}"

    def post(self, name: str, text: str) -> None:
        """Leaves a text; one of the same name is replaced."""
        # An empty text could not be told from none.
        client = ocp.multihost.get_jax_distributed_client()
        client.key_value_set(f"{self._prefix}/{name}", f"={text}", allow_overwrite=True)

    def read(self, kind: str) -> list[str]:
        """All texts of a kind, whoever left them."""
        client = ocp.multihost.get_jax_distributed_client()
        return [text[1:] for _, text in client.key_value_dir_get(f"{self._prefix}/{kind}")]


def all_true(value: bool) -> bool:
    """Whether all processes say so; not for a background thread, as the devices carry it."""
    if jax.process_count() == 1:
        return value
    return bool(np.all(multihost_utils.process_allgather(np.asarray(value))))


def any_true(value: bool) -> bool:
    """Whether any process says so, as `all_true`."""
    return not all_true(not value)


def first_says(value: bool) -> bool:
    """What process 0 says."""
    if jax.process_count() == 1:
        return value
    return bool(multihost_utils.broadcast_one_to_all(np.asarray(value)))
