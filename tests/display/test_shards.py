"""Progress of shards, as a log has it."""

from t5x_lite.display import shards


def test_a_log_gets_the_speed_and_the_time_left(monkeypatch, capsys):
    """Two shards were there before, which say nothing of the speed of this command."""
    now = [100.0]
    monkeypatch.setattr(shards.time, "monotonic", lambda: now[0])
    with shards.ShardProgress("cache", finished=2, total=5) as progress:
        progress.update(examples=10)
        now[0] += 20
        progress.update(examples=990, shards=1)
        now[0] += 1
        progress.update(examples=50)
        now[0] += 29
        progress.update(examples=950, shards=2)
    assert capsys.readouterr().err.splitlines() == [
        "cache 3/5 shards  1,000 examples  50 examples/s  ETA 0:40",
        "cache 5/5 shards  2,000 examples  40 examples/s  ETA 0:00",
    ]
