"""The compiler of TPUs, without a TPU: whether it is here, and the devices it compiles for."""

import fnmatch
import importlib.metadata
import importlib.util
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from t5x_lite.errors import UserError

if TYPE_CHECKING:
    import jax

# It looks for the machine it is on and complains of what it does not find; none of it matters here.
_ENVIRONMENT = {
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",  # else a second process that compiles ends with an error
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_LOG_DIR": "disabled",
    "TPU_MIN_LOG_LEVEL": "3",
    "TPU_SKIP_MDS_QUERY": "1",  # the server of metadata, of which every look-up waits for its end
    "TPU_STDERR_LOG_LEVEL": "3",
    "TPU_WORKER_HOSTNAMES": "localhost",
}


def check_installed() -> None:
    """Refuses what cannot compile.

    Raises:
        UserError: libtpu is missing, or belongs to another JAX.
    """
    jax_version = importlib.metadata.version("jax")
    fix = f"pip install 't5x_lite[plan]' 'jax=={jax_version}'"
    if importlib.util.find_spec("libtpu") is None:
        raise UserError(
            "compiling for TPUs needs libtpu, which works without a TPU, and it is not installed: "
            f"{fix}. Without it --topology=cpu:8 plans for simulated devices."
        )
    found, needed = importlib.metadata.version("libtpu"), needed_version()
    if needed is not None and not fnmatch.fnmatch(found, needed):
        raise UserError(
            f"libtpu {found} is not the one of jax {jax_version}, which needs {needed}: {fix}"
        )


def needed_version() -> str | None:
    """The version that the installed JAX names, such as 0.0.42.*; None if it names a range."""
    named = importlib.metadata.requires("jax") or []
    found = (re.match(r"libtpu\s*==\s*([\w.*]+)", each) for each in named)
    return next((each[1] for each in found if each), None)


def devices(name: str, *, num_slices: int, **layout: Any) -> Sequence["jax.Device"]:
    """The devices of slices with the compiler's name `name`; nothing runs on them.

    Raises:
        UserError: see `check_installed`.
    """
    check_installed()
    for variable, value in _ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    # Constants of what is traced live somewhere: on the CPU, whatever else the machine has.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    from jax.experimental import topologies

    if num_slices > 1:
        layout["num_slices"] = num_slices
    return topologies.get_topology_desc(topology_name=name, platform="tpu", **layout).devices
