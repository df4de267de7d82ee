"""What chips are: one table of the vendor's figures, each a row (no JAX).

Figures are a chip's, from https://cloud.google.com/tpu/docs/{v4,v5e,v5p,v6e,tpu7x} as read in 2026;
GB are powers of ten there, GiB of two. `hbm_bytes` is what the compiler lets a program use, as it
says when one does not fit (libtpu 0.0.42): a quarter to one GiB less than the data sheet's. A link
carries its bandwidth in either direction at a time; the data sheet's figure is the sum over all
links and both directions. Hosts are the virtual machines of 4 chips that slices are made of. Prices
are those of 2025, which change: a plan can be given others.
"""

import dataclasses

_GIB = 2**30
_GIGABIT = 1e9 / 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chip:
    """A kind of chip.

    `size_counts` is how many a chip counts in the names of slices, as on Cloud: v4-64 has 64 cores
    of 32 chips. JAX sees `devices` of each. `pod` is the most chips of one slice; `torus` the
    number of dimensions that chips are linked in; a dimension closes to a ring where a multiple of
    `ring` chips lies in it. Bandwidths are bytes per second; `price` is a list price in dollars per
    hour, on demand in the cheapest region of the US, None where none is published.
    """

    name: str
    aliases: tuple[str, ...] = ()
    size_counts: int = 1
    devices: int = 1
    torus: int
    ring: int
    pod: int
    flops: float
    hbm_bytes: int
    hbm_bandwidth: float
    link_bandwidth: float
    pcie_bandwidth: float = 16e9  # not published for any: PCIe 3.0 with 16 lanes
    chips_per_host: int = 4
    host_bytes: float
    host_bandwidth: float
    price: float | None

    @property
    def is_simulated(self) -> bool:
        """Whether there is no such machine."""
        return not self.torus


CHIPS = (
    Chip(
        name="v4",
        size_counts=2,
        torus=3,
        ring=4,
        pod=4096,
        flops=275e12,
        hbm_bytes=int(30.75 * _GIB),
        hbm_bandwidth=1200e9,
        link_bandwidth=50e9,  # 6 links (Jouppi et al. 2023, table 4)
        host_bytes=407e9,
        host_bandwidth=50 * _GIGABIT,  # not published: as the slowest of the others
        price=3.22,  # us-central2, 2025
    ),
    Chip(
        name="v5e",
        aliases=("v5litepod", "v5lite"),
        torus=2,
        ring=16,
        pod=256,
        flops=197e12,
        hbm_bytes=int(15.75 * _GIB),
        hbm_bandwidth=819e9,
        link_bandwidth=50e9,  # 400 GB/s: 4 links, both directions
        host_bytes=192e9,
        host_bandwidth=100 * _GIGABIT,
        price=1.20,  # us-central1, 2025
    ),
    Chip(
        name="v5p",
        size_counts=2,
        torus=3,
        ring=4,
        pod=8960,
        flops=459e12,
        hbm_bytes=int(95.74 * _GIB),
        hbm_bandwidth=2765e9,
        link_bandwidth=100e9,  # 1,200 GB/s: 6 links, both directions
        host_bytes=448e9,
        host_bandwidth=200 * _GIGABIT,
        price=4.20,  # us-east5, 2025
    ),
    Chip(
        name="v6e",
        aliases=("trillium",),
        torus=2,
        ring=16,
        pod=256,
        flops=918e12,
        hbm_bytes=int(31.25 * _GIB),
        hbm_bandwidth=1638e9,
        link_bandwidth=100e9,  # 800 GB/s: 4 links, both directions
        host_bytes=720e9,
        host_bandwidth=400 * _GIGABIT,
        price=2.70,  # us-east1, 2025
    ),
    Chip(
        name="tpu7x",
        aliases=("v7x", "ironwood"),
        size_counts=2,
        devices=2,  # two chiplets, each with half of the memory
        torus=3,
        ring=4,
        pod=9216,
        flops=2307e12,
        hbm_bytes=2 * int(94.75 * _GIB),
        hbm_bandwidth=7380e9,
        link_bandwidth=100e9,  # 1,200 GB/s: 6 links, both directions
        host_bytes=960e9,
        host_bandwidth=400 * _GIGABIT,
        price=None,
    ),
)

# A machine of round numbers: simulated devices show what a plan is where no TPU compiler is.
SIMULATED = Chip(
    name="cpu",
    torus=0,
    ring=1,
    pod=512,
    flops=100e9,
    hbm_bytes=4 * _GIB,
    hbm_bandwidth=10e9,
    link_bandwidth=1e9,
    host_bytes=16e9,
    host_bandwidth=1e9,
    price=None,
)
