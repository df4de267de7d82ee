"""Devices in the shape of a mesh: the last axes over fast links, the first over slow ones."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import mesh_utils
from jax.sharding import AxisType, Mesh

from t5x_lite.errors import UserError
from t5x_lite.partitioning.config import MeshAxes
from t5x_lite.partitioning.rules import divisors, in_words

# Chips whose links jax.make_mesh lets two mesh axes share.
_SHARED_LINKS = ("TPU v5 lite", "TPU v5e")


def make_mesh(axes: MeshAxes, devices: Sequence[jax.Device]) -> Mesh:
    """A mesh over all `devices`.

    Raises:
        UserError: they do not fill it, or another axis than the first would cross slices.
    """
    shape = mesh_shape(axes, len(devices))
    types = (AxisType.Auto,) * len(shape)  # GSPMD's mode; the default of JAX is Explicit
    if num_slices(devices) > 1:
        return Mesh(across_slices(shape, devices), tuple(shape), axis_types=types)
    # It orders TPU chips by their links.
    mesh = jax.make_mesh(tuple(shape.values()), tuple(shape), axis_types=types, devices=devices)
    assert mesh.size == len(devices), "make_mesh dropped devices"
    return mesh


def mesh_shape(axes: MeshAxes, num_devices: int) -> dict[str, int]:
    """The size of each axis; what has None takes the devices that are left."""
    given = {name: size for name, size in axes if size is not None}
    rest, left_over = divmod(num_devices, math.prod(given.values()))
    if left_over or (len(given) == len(axes) and rest != 1):
        raise UserError(_misfit(axes, given, num_devices))
    return {name: rest if size is None else size for name, size in axes}


def _misfit(axes: MeshAxes, given: Mapping[str, int], num_devices: int) -> str:
    simulate = "or simulate devices with --cpu_devices=..."
    others = math.prod(size for name, size in given.items() if name != "model")
    if "model" in given and len(given) < len(axes) and num_devices % others == 0:
        left = num_devices // others
        of = f"{num_devices} devices" if others == 1 else f"{left} of {num_devices} devices"
        fitting = ", ".join(map(str, divisors(left)))
        return (
            f"num_partitions={given['model']} does not divide the {of} there are; {fitting} do: "
            f"--gin.NUM_PARTITIONS=..., {simulate}"
        )
    multiple = "a multiple of " if len(given) < len(axes) else ""
    return (
        f"mesh_axes={axes}: needed are {multiple}{math.prod(given.values())} devices, and there "
        f"are {num_devices}: change the sizes, such as --gin.NUM_PARTITIONS=..., {simulate}"
    )


def num_slices(devices: Sequence[Any]) -> int:
    """How many groups with fast links the devices tell of; simulated ones tell of none."""
    return len({getattr(device, "slice_index", None) for device in devices})


def across_slices(shape: Mapping[str, int], devices: Sequence[Any]) -> np.ndarray:
    """The devices of several slices, of which only the first axis leaves one.

    Args:
        devices: with a `slice_index` each.

    Raises:
        UserError: the slices do not divide the first axis.
    """
    count = num_slices(devices)
    (first, size), *inner = shape.items()
    if size % count:
        raise UserError(
            f"the mesh {in_words(shape)} on devices of {count} slices: only its first axis may "
            f"cross slices, and has {first}={size}, which {count} does not divide. Lower "
            "--gin.NUM_PARTITIONS=... until a slice holds all other axes; with "
            f"--gin_file=meshes/multislice.gin needed is --gin.NUM_SLICES={count}."
        )
    return mesh_utils.create_hybrid_device_mesh(
        (size // count, *(size for _, size in inner)),
        (count, *(1 for _ in inner)),
        devices,
        allow_split_physical_axes=devices[0].device_kind in _SHARED_LINKS,
    )
