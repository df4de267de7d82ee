"""Passages, one a line: LAMBADA's `lambada_development_plain_text.txt`, `lambada_test_...`."""

from t5x_lite.errors import UserError
from t5x_lite.tasks.original_files.examples import TEXT, Example, ExampleFiles
from t5x_lite.tasks.original_files.folders import Folders, find
from t5x_lite.text_files import read_text

_FILES = {"train": "training", "validation": "development", "test": "test"}


def load(folders: Folders, split: str) -> list[Example]:
    """The lines of `lambada_<split>_plain_text.txt`, or of `<split>.txt`.

    Raises:
        UserError: a line has no word before its last.
    """
    names = [f"lambada_{_FILES[split]}_plain_text.txt", f"{split}.txt"]
    path = find(folders, names, within=("lambada",), columns="a passage a line")
    found = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not (passage := line.strip()):
            continue
        if " " not in passage:
            raise UserError(f"{path}, line {number}: {passage[:60]!r}; needed are several words")
        found.append({"passage": passage})
    return found


PASSAGES = ExampleFiles({"passage": TEXT}, load)
