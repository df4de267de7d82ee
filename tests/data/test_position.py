"""Positions survive the disk; what is missing or damaged is named."""

import pytest
from etils import epath

from t5x_lite.data import position

STORED = position.ShardPosition(
    batches=12,
    digest="ab" * 16,
    snapshot_batches=9,
    snapshot_digest="cd" * 16,
    snapshot=b"state",
    origin=100,
    fingerprint={"seed": 0},
    versions={"tensorflow": "2.21.0"},
)


@pytest.fixture
def folder(tmp_path):
    """Shards 0 and 1 of 2; the second has no state."""
    unsaveable = position.ShardPosition(**{**vars(STORED), "snapshot": None})
    for name, content in (STORED.files(0, 2) | unsaveable.files(1, 2)).items():
        (tmp_path / name).write_bytes(content)
    return epath.Path(tmp_path)


def test_what_is_read_is_what_was_written(folder):
    read = position.read(folder, [0, 1])
    assert read[0] == STORED
    assert read[1].snapshot is None and read[1].digest == STORED.digest


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda f: (f / "shard-00000-of-00002.json").unlink(), "shard 0 of 2 .*RESTORE_DATASET"),
        (lambda f: (f / "shard-00000-of-00002.json").write_text("{"), "cannot be read from"),
        (lambda f: (f / "shard-00000-of-00002.json").write_text("{}"), "cannot be read from"),
        (lambda f: (f / "shard-00000-of-00002.snapshot").unlink(), "snapshot is missing"),
        (lambda f: (f / "shard-00000-of-00004.json").write_text("{}"), "mixes .* 2 and 4 data"),
        (lambda f: f.rmtree(), "holds no position of the data"),
    ],
    ids=["no text", "cut text", "no fields", "no state", "two runs", "no folder"],
)
def test_damage_is_named(folder, damage, message):
    damage(folder)
    with pytest.raises(ValueError, match=message):
        position.read(folder, [0])
