"""Files of rows are found and read in a bucket as on a disk."""

import pytest
from etils import epath

from t5x_lite.records import formats
from tests.records.conftest import FILES, ROWS

pytest.importorskip("gcsfs", reason="pip install 't5x_lite[gcs]' (make gcs)")


def test_rows_of_every_kind_of_file(server):
    """By a pattern, by their folder, and one by one."""
    folder = epath.Path("gs://bucket/rows")
    for name, content in FILES.items():
        (folder / name).write_bytes(content(ROWS))
    (folder / "dataset_info.json").write_text("{}")
    found = formats.files("gs://bucket/rows/*.csv*,gs://bucket/rows")
    assert [path.name for path in found] == sorted(FILES)
    for path in found:
        rows = [dict(raw.values()) for raw in formats.rows(path, ("source", "target"))]
        assert rows == ROWS, path
