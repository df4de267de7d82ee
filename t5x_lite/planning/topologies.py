"""Names of machines -> their chips, how these are linked, and devices to compile for.

A name is Cloud's (`v5e-256`, `v5litepod-256`, `v4-64`, `v5p-128`, `v6e-256`, `tpu7x-128`) or the
compiler's, which says the shape (`v5e:16x16`, `v4:2x4x4`); `cpu:8` simulates. No device is needed:
libtpu compiles for chips that are elsewhere.

>>> find("v4-64").shape
(2, 4, 4)
>>> find("v5litepod-128").name
'v5e-128'
"""

import dataclasses
import difflib
import functools
import itertools
import math
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from t5x_lite.errors import UserError
from t5x_lite.planning import libtpu
from t5x_lite.planning.chips import CHIPS, SIMULATED, Chip

if TYPE_CHECKING:
    import jax

_KINDS = {name: chip for chip in (*CHIPS, SIMULATED) for name in (chip.name, *chip.aliases)}
_NAME = re.compile(r"(?P<kind>[a-z0-9]+?)(?:-(?P<size>\d+)|:(?P<shape>\d+(?:x\d+)*))")
# Of 2 dimensions all there are; of 3 those of less than a cube, 4 x 4 x 4 chips.
_FLAT = ((1, 1), (2, 2), (2, 4), (4, 4), (4, 8), (8, 8), (8, 16), (16, 16))
_BELOW_A_CUBE = ((2, 2, 1), (2, 2, 2), (2, 2, 4), (2, 4, 4))
_CUBE = 4
_ON_A_HOST = (2, 2, 1)
_MAX_SLICES = 256


@dataclasses.dataclass(frozen=True)
class Topology:
    """`slices` alike, whose chips are linked in a torus of `shape`; between them is a network."""

    chip: Chip
    shape: tuple[int, ...]
    slices: int = 1

    @property
    def name(self) -> str:
        """As on Cloud, of one slice."""
        size = math.prod(self.shape)
        if self.chip.is_simulated:
            return f"{self.chip.name}:{size}"
        if self.shape != _standard_shape(self.chip, size):
            return f"{self.chip.name}:{_in_words(self.shape)}"
        return f"{self.chip.name}-{size * self.chip.size_counts}"

    def __str__(self) -> str:
        of = f"{self.slices} x " if self.slices > 1 else ""
        return f"{of}{self.name}"

    @property
    def num_chips(self) -> int:
        """Of all slices."""
        return self.slices * math.prod(self.shape)

    @property
    def num_devices(self) -> int:
        """As JAX counts them."""
        return self.num_chips * self.chip.devices

    @property
    def num_hosts(self) -> int:
        """Machines that read batches and write checkpoints."""
        return self.slices * -(-math.prod(self.shape) // self.chip.chips_per_host)

    @property
    def closed(self) -> tuple[bool, ...]:
        """Of each dimension, whether its last chip is linked to its first. A torus of three
        dimensions is one only as a whole.
        """
        rings = tuple(size % self.chip.ring == 0 for size in self.shape)
        return rings if self.chip.torus == 2 else (all(rings),) * len(rings)

    def devices(self) -> Sequence["jax.Device"]:
        """Devices to compile for, and for nothing else unless they are simulated.

        Raises:
            UserError: no compiler of TPUs is installed, or not that of this JAX.
        """
        if self.chip.is_simulated:
            from t5x_lite.partitioning.devices import simulate_cpu_devices

            simulate_cpu_devices(self.num_devices)
            import jax

            return jax.devices()
        fill = (1,) * (3 - len(self.shape))
        bounds = (*self.shape, *fill)
        return libtpu.devices(
            f"{self.chip.name}:{_in_words(self.shape)}",
            num_slices=self.slices,
            chips_per_host_bounds=tuple(map(min, bounds, _ON_A_HOST)),
            wrap=(*self.closed, *(False for _ in fill)),
            # v4 is two devices unless its cores are told to work as one, as on Cloud.
            chip_config_name="megacore" if self.chip.name == "v4" else "default",
        )


def find(text: str, *, slices: int = 1) -> Topology:
    """The machine of a name.

    Raises:
        UserError: there is no such machine; with the nearest that there is.
    """
    found = _NAME.fullmatch(text.lower())
    if found is None or found["kind"] not in _KINDS:
        raise UserError(f"there is no topology {text!r}{_meant(text)}: {_KNOWN}")
    if not 1 <= slices <= _MAX_SLICES:
        raise UserError(f"--slices={slices}: needed is a number from 1 to {_MAX_SLICES}.")
    chip = _KINDS[found["kind"]]
    if chip.is_simulated:
        return _simulated(text, found, slices)
    if found["shape"]:
        return Topology(chip, _given_shape(text, chip, found["shape"]), slices)
    chips, rest = divmod(int(found["size"]), chip.size_counts)
    shape = None if rest else _standard_shape(chip, chips)
    if shape is None:
        raise UserError(f"there is no slice {text}: {_nearest(chip, int(found['size']))}")
    return Topology(chip, shape, slices)


def larger(topology: Topology) -> Iterator[Topology]:
    """Slices with at least twice, four times and eight times the chips, as many as they were."""
    chip, size = topology.chip, math.prod(topology.shape)
    for times in (2, 4, 8):
        if chip.is_simulated:
            if times * size <= chip.pod:
                yield dataclasses.replace(topology, shape=(times * size,))
            continue
        shapes = (shape for shape in _sizes(chip) if math.prod(shape) >= times * size)
        if (shape := next(shapes, None)) is not None:
            yield dataclasses.replace(topology, shape=shape)


_KNOWN = (
    "needed is a slice as Cloud names it, such as v5e-256 (v5litepod-256), v6e-256, v4-64, "
    "v5p-128, tpu7x-128 (these three count cores, two a chip), its shape, v5e:16x16, or cpu:8."
)


def _meant(text: str) -> str:
    kind, *rest = re.split(r"(?=[-:])", text.lower(), maxsplit=1)
    nearest = difflib.get_close_matches(kind, _KINDS, n=1)
    return f"; did you mean {nearest[0]}{rest[0] if rest else '-8'}?" if nearest else ""


def _simulated(text: str, found: re.Match[str], slices: int) -> Topology:
    size = found["shape"] or ""
    if not size.isdigit() or not 1 <= int(size) <= SIMULATED.pod or slices > 1:
        raise UserError(
            f"topology {text!r} with --slices={slices}: simulated devices are of one slice, from "
            f"cpu:1 to cpu:{SIMULATED.pod}."
        )
    return Topology(SIMULATED, (int(size),))


def _given_shape(text: str, chip: Chip, words: str) -> tuple[int, ...]:
    shape = tuple(map(int, words.split("x")))
    fits = math.prod(shape) == 1 or all(
        size % least == 0 for size, least in zip(shape, _ON_A_HOST, strict=False)
    )
    if len(shape) != chip.torus or not fits or not 1 <= math.prod(shape) <= chip.pod:
        raise UserError(
            f"there is no slice {text}: chips of {chip.name} are linked in {chip.torus} dimensions "
            f"and come in hosts of 2x2, at most {chip.pod:,} of them, such as "
            f"{chip.name}:{_in_words(_sizes(chip)[3])}."
        )
    return shape


def _nearest(chip: Chip, size: int) -> str:
    sizes = [math.prod(shape) * chip.size_counts for shape in _sizes(chip)]
    below = max((each for each in sizes if each < size), default=None)
    above = min((each for each in sizes if each > size), default=None)
    names = " and ".join(f"{chip.name}-{each}" for each in (below, above) if each is not None)
    counted = "cores, two a chip" if chip.size_counts == 2 else "chips"
    return f"the nearest that there is: {names} (names of {chip.name} count {counted})."


def _standard_shape(chip: Chip, chips: int) -> tuple[int, ...] | None:
    """The shape that Cloud gives a number of chips, None if it gives none."""
    return {math.prod(shape): shape for shape in _sizes(chip)}.get(chips)


@functools.cache
def _sizes(chip: Chip) -> tuple[tuple[int, ...], ...]:
    """The standard shapes, ascending; of cubes, the most compact of each number."""
    if chip.torus == 2:
        return _FLAT
    most = chip.pod // _CUBE**3
    cubes: dict[int, tuple[int, ...]] = {}
    edges = range(1, int(most**0.5) + 1)
    for a, b in itertools.combinations_with_replacement(edges, 2):
        for c in range(b, most // (a * b) + 1):
            best = cubes.get(a * b * c)
            if best is None or a + b + c < sum(best):
                cubes[a * b * c] = (a, b, c)
    shapes = (tuple(_CUBE * edge for edge in cubes[count]) for count in sorted(cubes))
    return (*_BELOW_A_CUBE, *shapes)


def _in_words(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
