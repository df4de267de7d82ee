"""What several processes that write or read one checkpoint tell each other.

What lies on disk process 0 looks up, and tells: a shared file system remembers look-ups on each
host for seconds, so that two processes that look for themselves may go different ways, and then
wait for each other.
"""

import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax._src import distributed  # the only way to its key-value store, which Orbax goes as well
from jax.experimental import multihost_utils

from t5x_lite.errors import UserError

Found = TypeVar("Found")

_TIMEOUT_MS = 3_600_000
# Every process takes the same numbers, because all begin the same things in the same order.
_numbers = itertools.count()


def is_multihost() -> bool:
    """Whether this is one process of several that have met.

    To ask JAX for their number before would start its backend, after which they cannot meet.
    """
    return jax.distributed.is_initialized() and jax.process_count() > 1


def number() -> int:
    """A number that all processes agree on and that names what they begin together."""
    return next(_numbers)


def barrier(name: str) -> None:
    """Returns once every process is here; safe in a background thread, as it uses no device."""
    synchronize = ocp.multihost.get_barrier_sync_fn()
    synchronize(key=f"t5x_lite_{name}", timeout_ms=_TIMEOUT_MS)


def broadcast_text(name: str, text: str) -> str:
    """The text of process 0, for which the others wait; safe in a background thread.

    Args:
        name: used once.
    """
    if not is_multihost():
        return text
    client: Any = distributed.global_state.client
    key = f"t5x_lite_{name}"
    if jax.process_index() == 0:
        client.key_value_set(key, f"={text}")  # it has no empty values
        return text
    return client.blocking_key_value_get(key, _TIMEOUT_MS).removeprefix("=")


def broadcast_result(find: Callable[[], Found]) -> Found:
    """What `find` gives on process 0, a JSON value; the others do not look.

    Raises:
        UserError, OSError: of process 0, on all.
    """
    if not is_multihost():
        return find()
    told: dict[str, Any] = {}
    if jax.process_index() == 0:
        try:
            told["found"] = find()
        except (UserError, OSError) as error:
            told |= {"error": str(error), "is_of_user": isinstance(error, UserError)}
    told = json.loads(broadcast_text(f"found_{number()}", json.dumps(told)))
    if "error" in told:
        raise (UserError if told["is_of_user"] else OSError)(told["error"])
    return told["found"]


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
    if not is_multihost():
        return value
    return bool(np.all(multihost_utils.process_allgather(np.asarray(value))))


def any_true(value: bool) -> bool:
    """Whether any process says so, as `all_true`."""
    return not all_true(not value)


def totals(values: Sequence[int]) -> list[int]:
    """Of each of these numbers the sum over all processes, modulo 2 ** 32; as `all_true`."""
    if not is_multihost():
        return [value % 2**32 for value in values]
    own = np.asarray([value % 2**32 for value in values], np.uint32)
    each = np.asarray(multihost_utils.process_allgather(own))
    return [int(value) for value in each.sum(axis=0, dtype=np.uint32)]


def broadcast_bool(value: bool) -> bool:
    """What process 0 says."""
    if not is_multihost():
        return value
    return bool(multihost_utils.broadcast_one_to_all(np.asarray(value)))
