"""How well a run uses its machine, by given numbers."""

import pytest

from t5x_lite.training.utilization import DataWait, peak_flops


@pytest.mark.parametrize(
    ("kind", "peak"),
    [
        ("TPU v5 lite", 197e12),
        ("TPU v5p", 459e12),
        ("TPU v5", 459e12),
        ("TPU v6e", 918e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H200", 989e12),
        ("NVIDIA L40S", 362e12),
        ("cpu", None),
    ],
)
def test_a_device_is_known_by_its_kind(kind, peak):
    """The more special name counts; what is not known has no utilization, not a wrong one."""
    assert peak_flops(kind) == peak


def test_waiting_for_data_is_a_share_of_each_period_and_advised_on_once(capsys):
    """The clock of the batches runs on over all periods."""
    wait = DataWait()
    assert wait.scalars(1.0, 10.0) == {"timing/data_wait_fraction": pytest.approx(0.1)}
    assert not capsys.readouterr().out
    assert wait.scalars(5.1, 10.0)["timing/data_wait_fraction"] == pytest.approx(0.41)
    printed = capsys.readouterr().out
    assert "input-bound: 41% of the time" in printed
    assert "t5x_lite cache TASK" in printed
    assert len(printed.splitlines()) == 1
    assert wait.scalars(14.1, 10.0)["timing/data_wait_fraction"] == pytest.approx(0.9)
    assert not capsys.readouterr().out
