"""Small programs as HLO text, with costs that one can check by hand."""

import pathlib

import pytest

from t5x_lite.planning import hlo
from t5x_lite.planning.mesh_axes import MeshLayout


@pytest.fixture
def mesh():
    """Eight chips: partition 2 * d + m is at data d, model m."""
    return MeshLayout.of({"data": 4, "model": 2})


@pytest.fixture(scope="session")
def collective_matmul():
    """A program as the TPU compiler writes it, cut small, on a mesh of 4 x 2.

    A weight bf16[16,32] is gathered over data while another one turns in a ring: the gather starts
    before the loop, goes on beside its products and ends after it. The loop is unrolled twice,
    which only its counter shows: it counts to 4 by 2.
    """
    path = pathlib.Path(__file__).with_name("collective_matmul.hlo")
    return hlo.parse(path.read_text())


@pytest.fixture(scope="session")
def entry():
    """Makes a module of the lines of its entry."""

    def parse(*lines, before=""):
        body = "".join(f"  {line}\n" for line in lines)
        main = f"ENTRY %main (p: f32[]) -> f32[] {{\n{body}}}\n"
        return hlo.parse(f"HloModule m, is_scheduled=true\n\n{before}\n{main}")

    return parse
