"""Text and JSON that others wrote, read whole or refused with what is wrong and where.

A device or a pipe would be read for ever, a file of another kind gives a page of a parser's words.
"""

import gzip
import io
import json
import os
import stat
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from etils import epath

from t5x_lite.errors import UserError

MAX_JSON_BYTES = 2**28
_ZSTD_BUFFER = 2**18
_MAGIC = 4
_NOT_TEXT = {
    b"\x1f\x8b": "compressed by gzip (unpack it first)",
    b"PK\x03\x04": "a zip archive, as torch.save writes too",
    **{bytes([0x80, protocol]): "a pickle, as torch.save wrote" for protocol in range(2, 6)},
    b"\xff\xfe": "text in UTF-16 (iconv -f UTF-16 -t UTF-8)",
    b"\xfe\xff": "text in UTF-16 (iconv -f UTF-16 -t UTF-8)",
}
_TEXT = {
    b"version https://git-lfs": "a pointer of git-LFS (git lfs pull fetches what it points to)",
    b"<": "a page of the web (was a download refused?)",
    b"{": "JSON",
}


def check_regular(path: epath.PathLike) -> None:
    """Refuses what is there and no file.

    Raises:
        UserError: it is a folder, a device or a pipe.
    """
    name = os.fspath(path)
    if "://" in name or not os.path.exists(name):
        return
    mode = os.stat(name).st_mode
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a device or a pipe"
        raise UserError(f"{name} is {kind}; needed is a file.")


def read_bytes(path: epath.PathLike, *, most: int | None = None) -> bytes:
    """The content of a file.

    Raises:
        OSError: it cannot be read.
        UserError: it is no file, or has more than `most` bytes.
    """
    check_regular(path)
    path = epath.Path(path)
    if most is not None and path.stat().length > most:
        raise UserError(f"{path} has {path.stat().length:,} bytes; needed are at most {most:,}.")
    return path.read_bytes()


def read_text(path: epath.PathLike, *, most: int | None = None) -> str:
    """The content of a UTF-8 file, without a byte order mark.

    Raises:
        OSError: it cannot be read.
        UserError: as `read_bytes`, or it is not UTF-8; the message says where.
    """
    content = read_bytes(path, most=most)
    _refuse_other_kinds(path, content[:_MAGIC])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_utf8(path, content.count(b"\n", 0, error.start) + 1, error) from None


def text_lines(path: epath.PathLike) -> Iterator[str]:
    """The lines of a UTF-8 file of any size, or of one in a .gz, with their ends, without a byte
    order mark.

    Raises:
        OSError: it cannot be read.
        UserError: as `read_text`, or gzip's file was cut off.
    """
    check_regular(path)
    with epath.Path(path).open("rb") as file:
        is_compressed = os.fspath(path).endswith(".gz")
        try:
            yield from _decoded(path, gzip.GzipFile(fileobj=file) if is_compressed else file)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise UserError(
                f"{path} is no whole file of gzip ({error}); copy or download it again."
            ) from error


def unpacked_zstd(file: Any) -> io.BufferedReader:
    """What is in an open file of Zstandard, of all its frames; `file` is closed with it."""
    import zstandard

    stream = zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True, closefd=True)
    return io.BufferedReader(stream, _ZSTD_BUFFER)


def damages() -> tuple[type[Exception], ...]:
    """What damaged files of gzip and Zstandard raise; an OSError of opening is another matter."""
    import zstandard

    return (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError)


def check_text(path: epath.PathLike) -> None:
    """Reads a text that another library will read, which may take other bytes for text and the end
    of what is left of a file of gzip for that of the text.

    Raises:
        OSError, UserError: as `text_lines`.
    """
    for _ in text_lines(path):
        pass


def _decoded(path: epath.PathLike, lines: Iterable[bytes]) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        if number == 1:
            _refuse_other_kinds(path, line[:_MAGIC])
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise _not_utf8(path, number, error) from None


def _refuse_other_kinds(path: epath.PathLike, beginning: bytes) -> None:
    for magic, kind in _NOT_TEXT.items():
        if beginning.startswith(magic):
            raise UserError(f"{path} is {kind}; needed is text in UTF-8.")


def _not_utf8(path: epath.PathLike, line: int, error: UnicodeDecodeError) -> UserError:
    byte = error.object[error.start]
    return UserError(
        f"{path}, line {line}: byte 0x{byte:02x} is no UTF-8; needed is text in UTF-8."
    )


def kind_of(content: bytes) -> str:
    """What a file seems to be, for who expected another kind."""
    if not content:
        return "empty"
    for magic, kind in (_NOT_TEXT | _TEXT).items():
        if content.lstrip().startswith(magic):
            return kind
    printable = all(byte >= 32 or byte in b"\t\r\n" for byte in content[:200])
    return "text" if printable else "damaged, cut off or of another kind"


def parse_json(text: str, where: str) -> Any:
    """The value of a JSON text.

    Args:
        where: what an error says was read.

    Raises:
        UserError: it is not JSON, or nested too deeply.
    """
    try:
        return json.loads(text)
    except ValueError as error:
        raise UserError(f"{where} is not JSON: {error}") from None
    except RecursionError:
        raise UserError(f"{where} is nested too deeply to be meant.") from None


def read_json_object(path: epath.PathLike, *, most: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """The JSON object of a file.

    Raises:
        OSError: it cannot be read.
        UserError: as `read_text`, or it holds no JSON object.
    """
    value = parse_json(read_text(path, most=most), str(path))
    if not isinstance(value, dict):
        raise UserError(f"{path} holds {str(value)[:60]}; needed is a JSON object {{...}}.")
    return value
