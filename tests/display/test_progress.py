"""What a person sees of a run where no live line can be drawn."""

from t5x_lite.display import progress


def test_outside_a_terminal_progress_is_plain_lines(capsys, monkeypatch):
    """With loss, speed and time left; not one for every report, but always the last."""
    clock = iter([0.0, 1.0, 12.0, 13.0, 14.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    bar = progress.Progress(first_step=0, last_step=30)
    values = {
        "loss_per_token": 2.5,
        "accuracy": 0.25,
        "timing/steps_per_second": 1.0,
        "timing/real_tokens_per_second": 1234.0,
    }
    for step in (1, 12, 30):
        bar.update(step, values)
    bar.close()
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in printed] == ["12/30", "30/30"]
    assert "loss 2.500" in printed[0]
    assert "1,234 tokens/s" in printed[0]
    assert printed[0].endswith("ETA 0:18")
