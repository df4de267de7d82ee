"""Any thousand rows of a file, as a function of their place: what tf.data can stop at and go on
from, as nothing but the place is its state.

A small corpus is read whole, so that its rows can be had in any order; of a large one the reader
that stands where the next chunk begins is kept.
"""

import functools
import itertools
import random
import threading
from collections.abc import Iterator, Sequence

from etils import epath

from t5x_lite.records import formats
from t5x_lite.records.config import RecordsConfig
from t5x_lite.records.examples import Example, Rows
from t5x_lite.records.formats import Raw

ROWS = 1_000
# Of all files together, unpacked; what is packed counts four times.
SMALL_BYTES = 2**28
_UNPACKED = 4
_MAX_READERS = 64


class Chunks:
    """The examples of a split in files, which may be one of several `parts`: each has its share of
    the rows of a small corpus, and of the chunks of a large one.
    """

    def __init__(self, config: RecordsConfig, files: Sequence[epath.Path], split: str) -> None:
        self._config, self._split, self.files = config, split, files
        self._lock = threading.Lock()
        self.has_failed = False
        self._file_locks = [threading.Lock() for _ in files]
        self._whole: dict[int, list[Example]] = {}
        self._readers: dict[tuple[int, int], Iterator[Raw]] = {}

    @functools.cached_property
    def is_small(self) -> bool:
        """Whether all rows are kept in memory."""
        return sum(map(_unpacked_bytes, self.files)) <= SMALL_BYTES

    def read(
        self, file: int, chunk: int, *, seed: int | None, part: int = 0, parts: int = 1
    ) -> Sequence[Example] | None:
        """A part's chunk of a file: empty where all its rows are of other splits, None behind the
        last, and everywhere once a chunk could not be read: tf.data would try others for ever.

        Args:
            seed: rows of a small corpus come in the order that it shuffles to; None is their own.

        Raises:
            OSError, UserError: a file cannot be read, or a row of it not be used; once.
        """
        if self.has_failed:
            return None
        try:
            return self._read(file, chunk, seed=seed, part=part, parts=parts)
        except Exception:
            self.has_failed = True
            raise

    def _read(
        self, file: int, chunk: int, *, seed: int | None, part: int, parts: int
    ) -> Sequence[Example] | None:
        with self._file_locks[file]:
            if not self.is_small:
                return self._stream(file, chunk * parts + part)
            examples = self._all(file)
        order = list(range(len(examples)))
        if seed is not None:
            random.Random(f"{seed}/{file}").shuffle(order)
        own = order[part::parts][chunk * ROWS : (chunk + 1) * ROWS]
        return [examples[i] for i in own] or None

    def count(self) -> int | None:
        """How many examples there are; None of a large corpus, which is not read for it."""
        if not self.is_small:
            return None
        found = 0
        for file in range(len(self.files)):
            with self._file_locks[file]:
                found += len(self._all(file))
        return found

    def _all(self, file: int) -> list[Example]:
        if file not in self._whole:
            self._whole[file] = list(self._rows(file).examples(self._raws(file)))
        return self._whole[file]

    def _stream(self, file: int, chunk: int) -> Sequence[Example] | None:
        reader = self._reader_at(file, chunk)
        raws = list(itertools.islice(reader, ROWS))
        if not raws:
            return None
        with self._lock:
            self._readers[file, chunk + 1] = reader
            while len(self._readers) > _MAX_READERS:
                self._readers.pop(next(iter(self._readers)))
        return list(self._rows(file).examples(iter(raws)))

    def _reader_at(self, file: int, chunk: int) -> Iterator[Raw]:
        """Of those that are kept the one that has the least to pass over, else a new one."""
        with self._lock:
            before = [place for place in self._readers if place[0] == file and place[1] <= chunk]
            nearest = max(before, default=None)
            reader = self._raws(file) if nearest is None else self._readers.pop(nearest)
        begun = 0 if nearest is None else nearest[1]
        return itertools.islice(reader, (chunk - begun) * ROWS, None)

    def _raws(self, file: int) -> Iterator[Raw]:
        return formats.rows(self.files[file], self._config.fields)

    def _rows(self, file: int) -> Rows:
        return Rows(self._config, self.files[file], self._split)


def _unpacked_bytes(path: epath.Path) -> int:
    size = path.stat().length
    return size * _UNPACKED if formats.is_packed(path) else size
