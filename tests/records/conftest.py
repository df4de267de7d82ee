"""The same three rows in files of every kind."""

import csv
import gzip
import io
import json

import pyarrow
import pyarrow.parquet
import pytest

ROWS = [
    {"source": "one, two", "target": "eins"},
    {"source": 'say "three"', "target": "drei"},
    {"source": "vier ü \u2028 end", "target": "four"},
]


def csv_of(rows):
    """With quotes where they are needed."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode()


def tsv_of(rows):
    """Fields as they are."""
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    return "".join("\t".join(line) + "\n" for line in lines).encode()


def jsonl_of(rows):
    """An object a line."""
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def parquet_of(rows):
    """In groups of two rows."""
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), sink, row_group_size=2)
    return sink.getvalue()


def arrow_of(rows, new=pyarrow.ipc.new_file):
    """In batches of two rows."""
    sink = io.BytesIO()
    table = pyarrow.Table.from_pylist(rows)
    with new(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return sink.getvalue()


def zst_of(content):
    """Packed by Zstandard, in two frames."""
    half = len(content) // 2
    codec = pyarrow.Codec("zstd")
    return b"".join(codec.compress(part, asbytes=True) for part in (content[:half], content[half:]))


FILES = {
    "rows.csv": csv_of,
    "rows.tsv": tsv_of,
    "rows.jsonl": jsonl_of,
    "rows.parquet": parquet_of,
    "rows.arrow": arrow_of,
    "stream.arrow": lambda rows: arrow_of(rows, pyarrow.ipc.new_stream),
    "rows.csv.gz": lambda rows: gzip.compress(csv_of(rows)),
    "rows.jsonl.zst": lambda rows: zst_of(jsonl_of(rows)),
}


@pytest.fixture
def write(tmp_path):
    """(name, content, or rows for a name of FILES) -> the path of a file."""

    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else FILES[name](content))
        return path

    return write
