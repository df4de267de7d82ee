"""How many layers a loop runs at a time."""

import pytest

from t5x_lite.model import execution
from t5x_lite.model.compute_config import ComputeConfig

SMALL, LARGE = 2**19, 2**21


@pytest.mark.parametrize(
    ("platform", "given", "size", "expected"),
    [
        ("cpu", None, LARGE, 8),
        ("cpu", None, SMALL, 1),
        ("tpu", None, LARGE, 1),
        ("cpu", 3, LARGE, 3),
    ],
)
def test_large_layers_are_unrolled_on_a_cpu(platform, given, size, expected, monkeypatch):
    monkeypatch.setattr(execution, "platform", lambda: platform)
    assert execution.unroll(ComputeConfig(scan_unroll=given), size) == expected
