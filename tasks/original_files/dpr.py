"""Definite pronoun resolution: blocks of sentence, pronoun, two candidates, the right one."""

from t5x_lite.errors import UserError
from t5x_lite.tasks.original_files.examples import LABEL, TEXT, TWO_TEXTS, Example, ExampleFiles
from t5x_lite.tasks.original_files.folders import Folders, find
from t5x_lite.text_files import read_text

_WITHIN = ("DPR", "definite_pronoun_resolution", "superglue/DPR", "superglue")
_LINES = 5  # the last is empty


def load(folders: Folders, split: str) -> list[Example]:
    """The examples of `train.c.txt` or `test.c.txt`.

    Raises:
        UserError: a block is not of that form.
    """
    columns = "blocks of four lines: sentence, pronoun, candidates with a comma between, the answer"
    path = find(folders, [f"{split}.c.txt"], within=_WITHIN, columns=columns)
    lines = [line.strip() for line in read_text(path).rstrip().split("\n")]
    examples = []
    for start in range(0, len(lines), _LINES):
        block = lines[start : start + _LINES - 1]
        candidates = [each.strip() for each in block[2].split(",")] if len(block) > 2 else []
        if len(candidates) != 2 or block[3:] == [] or block[3] not in candidates:
            raise UserError(f"{path}, line {start + 1}: found {block}; needed are {columns}")
        examples.append(
            {
                "sentence": block[0],
                "pronoun": block[1],
                "candidates": candidates,
                "label": candidates.index(block[3]),
            }
        )
    return examples


DPR_FILES = ExampleFiles(
    {"sentence": TEXT, "pronoun": TEXT, "candidates": TWO_TEXTS, "label": LABEL}, load
)
