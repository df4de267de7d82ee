"""Rows of files -> more rows, whose texts are like theirs (Jiao et al. 2020, algorithm 1)."""

import itertools
import json
from collections.abc import Collection, Iterator, Sequence

from etils import epath

from t5x_lite import storage
from t5x_lite.compression.augmentation import augmented, replaceable
from t5x_lite.compression.distillation_config import AugmentConfig
from t5x_lite.display.progress import say
from t5x_lite.errors import UserError
from t5x_lite.inference import text_model
from t5x_lite.inference.candidates import Candidates
from t5x_lite.records import formats

# Rows whose words are asked for at once.
_AT_ONCE = 16

Row = dict[str, str]


def augment(
    checkpoint: str,
    paths: str,
    output: str,
    *,
    field: str,
    keep: Sequence[str],
    stop_words: Collection[str],
    config: AugmentConfig,
) -> None:
    """Writes JSON lines: each row with its `field` and what it is to `keep`, and behind it those
    that are like it.

    Raises:
        UserError: the model finds no masked tokens, or a row has no such field.
        FileNotFoundError: there is no checkpoint.
    """
    candidates = Candidates(text_model.load(checkpoint), config.candidates)
    lines, count = [], 0
    rows = enumerate(_rows(paths, (field, *keep)))
    while group := list(itertools.islice(rows, _AT_ONCE)):
        texts = [row[field] for _, row in group]
        words = [replaceable(text, stop_words) for text in texts]
        others = candidates.of_texts(texts, words)
        for (number, row), own, its in zip(group, words, others, strict=True):
            found = augmented(row[field], own, its, config, row=number)
            lines += [json.dumps({**row, field: text}, ensure_ascii=False) for text in found]
        count += len(group)
        if count % (64 * _AT_ONCE) == 0:
            say(f"{count:,} rows, {len(lines):,} with those that are like them")
    storage.write_whole(epath.Path(output), ("\n".join(lines) + "\n").encode())
    say(f"{output}: {len(lines):,} rows of {count:,}")


def _rows(paths: str, fields: Sequence[str]) -> Iterator[Row]:
    for path in formats.files(paths):
        for raw in formats.rows(path, fields):
            try:
                values = raw.values()
                yield {field: formats.text_of(values, field) for field in fields}
            except formats.BadRowError as error:
                raise UserError(f"{path}, {raw.place}: {error}") from None
