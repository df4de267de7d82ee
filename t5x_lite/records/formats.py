"""Rows of files, as the end of a file's name says: how they are read, and packed.

| name      | a row is                                                                    |
|-----------|-----------------------------------------------------------------------------|
| .txt      | a line, as the field `text`; empty ones are left out                        |
| .jsonl    | a line, a JSON object; .ndjson and .json as well                            |
| .csv      | as RFC 4180 says, quotes and line breaks in fields; the first has the names |
| .tsv      | a line, fields between tabs, quotes as they are; the first has the names    |
| .parquet  | a row                                                                       |
| .arrow    | a row, of a file or a stream, as Hugging Face's datasets save them          |

Each but the last two may be packed by gzip (.gz) or Zstandard (.zst).
"""

import csv
import dataclasses
import functools
import glob
import gzip
import io
import itertools
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from etils import epath

from t5x_lite.errors import UserError
from t5x_lite.text_files import check_regular, damages, unpacked_zstd

csv.field_size_limit(2**31 - 1)
TEXT = "text"
# More is no text that a person wrote, but a file of another kind.
MAX_CHARACTERS = 10_000_000
Values = Mapping[str, Any]


class BadRowError(Exception):
    """A row that cannot be used; the message says why, whoever knows the file says where."""


class Raw(NamedTuple):
    """A row that is not looked at yet: where it is, and how its values are had.

    `values` raises BadRowError.
    """

    place: str
    values: Callable[[], Values]


# A file that is opened to read bytes, by Python, gzip or whoever reads buckets.
Bytes: TypeAlias = Any
# (the unpacked file, the fields that are wanted) -> its rows.
_Reader = Callable[[Bytes, Sequence[str]], Iterator[Raw]]


@dataclasses.dataclass(frozen=True)
class Format:
    """How files of one kind are read."""

    read: _Reader
    may_be_packed: bool = True
    has_fields: bool = True


def _decoded(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRowError(f"byte 0x{line[error.start]:02x} is no UTF-8") from None


def _lines(file: Bytes) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(file, start=1):
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")  # of Windows
        yield number, line.rstrip(b"\r\n")


def _text(file: Bytes, fields: Sequence[str]) -> Iterator[Raw]:
    del fields
    for number, line in _lines(file):
        if line.strip():
            yield Raw(f"line {number}", functools.partial(_as_text, line))


def _as_text(line: bytes) -> Values:
    return {TEXT: _decoded(line)}


def _json(file: Bytes, fields: Sequence[str]) -> Iterator[Raw]:
    del fields
    for number, line in _lines(file):
        if line.strip():
            yield Raw(f"line {number}", functools.partial(_object, line))


def _object(line: bytes) -> Values:
    try:
        value = json.loads(_decoded(line))
    except (ValueError, RecursionError) as error:
        raise BadRowError(f"it is not JSON ({error}); needed is an object a line") from None
    if not isinstance(value, dict):
        raise BadRowError(f"it holds {str(value)[:40]}; needed is a JSON object {{...}}")
    return value


def _tabs(file: Bytes, fields: Sequence[str]) -> Iterator[Raw]:
    rows = ((f"line {n}", line) for n, line in _lines(file) if line)
    return _table(rows, fields, lambda line: _decoded(line).split("\t"))


def _commas(file: Bytes, fields: Sequence[str]) -> Iterator[Raw]:
    # Bytes that are no UTF-8 travel to the row that has them, which says so.
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
    reader = csv.reader(text, strict=True)

    def rows() -> Iterator[tuple[str, Any]]:
        while True:
            place = f"line {reader.line_num + 1}"
            try:
                row = next(reader, None)
            except csv.Error as error:
                yield place, BadRowError(f"it is no row of a csv ({error})")
                continue
            if row is None:
                return
            if row:
                yield place, row

    try:
        yield from _table(rows(), fields, _strings)
    finally:
        text.detach()  # who opened the file closes it


def _strings(row: Any) -> list[str]:
    if isinstance(row, BadRowError):
        raise row
    return [_decoded(field.encode("utf-8", "surrogateescape")) for field in row]


def _table(
    rows: Iterator[tuple[str, Any]], fields: Sequence[str], split: Callable[[Any], list[str]]
) -> Iterator[Raw]:
    """Rows below a row of names, or, where numbers name the fields, all of them."""
    first = next(rows, None)
    if first is None:
        return
    try:
        names = split(first[1])
    except BadRowError as error:
        raise UserError(f"{first[0]}: {error}") from None
    if all(field.isdecimal() for field in fields) and not set(fields) <= set(names):
        names = [str(number) for number in range(len(names))]
        rows = itertools.chain([first], rows)

    def values(row: Any) -> Values:
        parts = split(row)
        if len(parts) != len(names):
            raise BadRowError(f"it has {len(parts)} fields; needed are {len(names)}")
        return dict(zip(names, parts, strict=True))

    for place, row in rows:
        yield Raw(place, functools.partial(values, row))


def _parquet(file: Bytes, fields: Sequence[str]) -> Iterator[Raw]:
    import pyarrow.parquet

    table = pyarrow.parquet.ParquetFile(file)
    known = [name for name in fields if name in table.schema_arrow.names]
    yield from _batches(table.iter_batches(batch_size=1024, columns=known or None))


def _arrow(file: Bytes, fields: Sequence[str]) -> Iterator[Raw]:
    import pyarrow

    is_file = file.read(6) == b"ARROW1"
    file.seek(0)
    if not is_file:
        yield from _batches(pyarrow.ipc.open_stream(file))
        return
    reader = pyarrow.ipc.open_file(file)
    yield from _batches(reader.get_batch(n) for n in range(reader.num_record_batches))


def _batches(batches: Any) -> Iterator[Raw]:
    number = 0
    for batch in batches:
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        for i in range(batch.num_rows):
            number += 1
            yield Raw(f"row {number}", functools.partial(_row, columns, i))


def _row(columns: Mapping[str, Any], place: int) -> Values:
    return {name: column[place].as_py() for name, column in columns.items()}


FORMATS: Mapping[str, Format] = {
    ".txt": Format(_text, has_fields=False),
    ".jsonl": Format(_json),
    ".ndjson": Format(_json),
    ".json": Format(_json),
    ".csv": Format(_commas),
    ".tsv": Format(_tabs),
    ".parquet": Format(_parquet, may_be_packed=False),
    ".arrow": Format(_arrow, may_be_packed=False),
}
_PACKED = (".gz", ".zst")
_ONE_OF_SEVERAL = re.compile(r"-\d{5}-of-\d{5}$")
_OF_ARROW = (".parquet", ".arrow")
# Of a folder's own files these are descriptions, as datasets and tools write them.
_BESIDE = (".json",)


def format_of(path: epath.PathLike) -> Format | None:
    """The row of the table; None if the name has no end that is known. What `infer` writes, as
    others do, says behind it which of several files it is: x.jsonl-00000-of-00002.
    """
    name = _ONE_OF_SEVERAL.sub("", os.fspath(path).lower())
    stem, end = os.path.splitext(name)
    if end in _PACKED:
        found = FORMATS.get(os.path.splitext(stem)[1])
        return found if found is not None and found.may_be_packed else None
    return FORMATS.get(end)


def is_packed(path: epath.PathLike) -> bool:
    """Whether it is packed by gzip or Zstandard."""
    return os.fspath(path).lower().endswith(_PACKED)


def named(paths: str) -> list[epath.Path]:
    """The files that are named: by themselves, as the files of a folder, or by a pattern; sorted,
    each once.

    Raises:
        UserError: nothing is found, or what is found is no file.
    """
    found: dict[str, epath.Path] = {}
    for pattern in filter(None, paths.split(",")):
        matched = _matched(pattern)
        if not matched:
            raise UserError(
                f"No file matches {pattern!r}; needed are files of {', '.join(FORMATS)} "
                f"(or with {' or '.join(_PACKED)} behind), a folder of them or a quoted pattern."
            )
        found |= {str(path): path for path in matched}
    for path in found.values():
        check_regular(path)
    return [found[name] for name in sorted(found)]


def files(paths: str) -> list[epath.Path]:
    """The same, each of a kind that is known.

    Raises:
        UserError: as `named`, or the name of one does not say what it holds.
    """
    found = named(paths)
    for path in found:
        if format_of(path) is None:
            raise UserError(
                f"{path}: its name does not say what it holds; needed is one that ends with "
                f"{', '.join(FORMATS)} (or with {' or '.join(_PACKED)} behind, of text)."
            )
    return found


def _matched(pattern: str) -> list[epath.Path]:
    path = epath.Path(pattern)
    if path.is_dir():
        return [
            each
            for each in path.iterdir()
            if not each.name.startswith((".", "_"))
            and not each.name.endswith(_BESIDE)
            and format_of(each) is not None
        ]
    if path.exists():
        return [path]
    if "://" not in pattern:
        return [
            epath.Path(each) for each in glob.glob(pattern, recursive=True) if os.path.isfile(each)
        ]
    # The folder that is there, and the pattern below it.
    parts = path.parts
    first = next((n for n, part in enumerate(parts) if set(part) & set("*?[")), None)
    if not first:
        return []
    below = "/".join(parts[first:])
    return [each for each in epath.Path(*parts[:first]).glob(below) if not each.is_dir()]


def rows(path: epath.Path, fields: Sequence[str]) -> Iterator[Raw]:
    """The rows of a file, from the first on.

    Raises:
        OSError: it cannot be read.
        UserError: it is damaged, or not of the kind that its name says.
    """
    found = format_of(path)
    assert found is not None, "files() comes first"
    try:
        with path.open("rb") as file:
            yield from found.read(_unpacked(file, path), fields)
    except Exception as error:  # not GeneratorExit, of whoever has read enough
        if (explained := _explained(error, path)) is error:
            raise
        raise explained from error


def _explained(error: Exception, path: epath.Path) -> Exception:
    """The same error, or what it says of the file."""
    if isinstance(error, damages()):
        return UserError(f"{path} is damaged or of another kind ({error}); copy it again.")
    if isinstance(error, UserError):
        return UserError(f"{path}, {error}")
    # pyarrow's have no number; those of files and buckets say themselves what is wrong.
    is_os = isinstance(error, OSError) and error.errno is None
    of_arrow = is_os and path.name.lower().endswith(_OF_ARROW)
    if of_arrow or type(error).__name__.startswith("Arrow"):
        return UserError(f"{path} is damaged or of another kind ({error})")
    return error


def _unpacked(file: Bytes, path: epath.Path) -> Any:
    name = path.name.lower()
    if name.endswith(".gz"):
        return gzip.GzipFile(fileobj=file)
    if name.endswith(".zst"):
        return unpacked_zstd(file)
    return file


def text_of(values: Values, field: str) -> str:
    """A row's text in a field, or with dots in a field of a field; numbers are written out.

    Raises:
        BadRowError: there is no such field, or no text in it.
    """
    outer, dot, inner = field.partition(".")
    if dot and field not in values and isinstance(values.get(outer), Mapping):
        return text_of(values[outer], inner)
    if field not in values:
        known = ", ".join(map(str, list(values)[:8])) or "nothing"
        raise BadRowError(f"it has no field {field!r}; it has {known}")
    value = values[field]
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        kind = "nothing" if value is None else type(value).__name__
        raise BadRowError(f"{field} holds {kind}; needed is text")
    if not value.strip():
        raise BadRowError(f"{field} is empty")
    if len(value) > MAX_CHARACTERS:
        raise BadRowError(
            f"{field} has {len(value):,} characters; needed are at most {MAX_CHARACTERS:,}"
        )
    try:
        value.encode()
    except UnicodeEncodeError:  # JSON may spell one half of a pair
        raise BadRowError(f"{field} holds half a character (a lone surrogate)") from None
    return value
