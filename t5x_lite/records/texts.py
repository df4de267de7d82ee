"""The texts of files, to train a vocabulary on."""

from collections.abc import Iterator, Sequence

from t5x_lite.errors import UserError
from t5x_lite.records import formats
from t5x_lite.text_files import text_lines


def field_texts(paths: str, fields: Sequence[str] | None = None) -> Iterator[str]:
    """The fields (None: `text`) of all rows of files whose names say that they hold rows, the lines
    of others.

    Raises:
        OSError: a file cannot be read.
        UserError: nothing matches, a file is damaged, or a row has no text in such a field.
    """
    for path in formats.named(paths):
        found = formats.format_of(path)
        if found is None or not found.has_fields:
            if fields:
                raise UserError(
                    f"--field={fields[0]} is of rows, and {path} holds lines of text: leave it out"
                )
            yield from text_lines(path)
            continue
        for raw in formats.rows(path, fields or (formats.TEXT,)):
            try:
                values = raw.values()
                for field in fields or (formats.TEXT,):
                    yield formats.text_of(values, field)
            except formats.BadRowError as error:
                raise UserError(f"{path}, {raw.place}: {error}") from None
