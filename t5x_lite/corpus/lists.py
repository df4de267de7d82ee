"""Lists of domains and of URLs that a corpus is made of."""

import os

import numpy as np

from t5x_lite.corpus.duplicates import hash_of
from t5x_lite.corpus.urls import Domains, normalized
from t5x_lite.errors import UserError
from t5x_lite.text_files import read_json_object, read_text, text_lines


def read_domains(path: str | os.PathLike) -> Domains:
    """Domains with what may stand before them: one a line, or as RealNews has it.

    Raises:
        OSError: it cannot be read.
        UserError: it is neither, or empty.
    """
    if read_text(path).lstrip().startswith("{"):
        found = read_json_object(path)
        domains = {
            name: tuple(map(str, names)) if isinstance(names, list) else None
            for name, names in found.items()
        }
    else:
        domains = {line.strip().lower(): None for line in text_lines(path) if line.strip()}
    if not domains:
        raise UserError(f"{path} is empty; needed is one domain a line, or a JSON object.")
    return domains


class UrlList:
    """URLs of a file, one a line; 8 bytes are kept of each.

    Raises:
        OSError: it cannot be read.
        UserError: it is not UTF-8, or empty.
    """

    def __init__(self, path: str | os.PathLike):
        hashes = (hash_of(normalized(url)) for line in text_lines(path) if (url := line.strip()))
        self._hashes = np.sort(np.fromiter(hashes, np.uint64))
        if not len(self._hashes):
            raise UserError(f"{path} is empty; needed is one URL a line.")

    def has(self, url: str) -> bool:
        """Whether a page is on the list, however its URL is written."""
        wanted = np.uint64(hash_of(normalized(url)))
        place = int(np.searchsorted(self._hashes, wanted))
        return place < len(self._hashes) and bool(self._hashes[place] == wanted)
