"""What differs between the families of models that are measured, as far as all arms are concerned.

How a library is called for a family stands where that library is (arms/torch_models.py,
arms/translator.py); what a family's gin files say already, such as a tied head, is read there.
"""

import dataclasses
from collections.abc import Callable

from benchmarks.speed import vocabulary
from t5x_lite.errors import UserError
from t5x_lite.text.tokenizer import Tokenizer


@dataclasses.dataclass(frozen=True)
class Family:
    """Models that are read, trained and asked in the same way.

    Attributes:
        name: by which an arm finds how its library is called.
        folder: of gin/models, with a file for each size.
        has_encoder: inputs are read apart and targets are predicted; otherwise a row is both, one
            after the other, and all of its tokens are predicted.
        ends_rows: inputs and targets have an end token as their last.
        tokenizer: number of ids -> a vocabulary of made-up pieces.
        ordinary: number of ids -> those that are pieces of text.
    """

    name: str
    folder: str
    has_encoder: bool
    ends_rows: bool
    tokenizer: Callable[[int], Tokenizer]
    ordinary: Callable[[int], range]


T5 = Family(
    name="T5",
    folder="t5_1_1",
    has_encoder=True,
    ends_rows=True,
    tokenizer=vocabulary.made_up,
    ordinary=vocabulary.ordinary,
)
GPT2 = Family(
    name="GPT-2",
    folder="gpt2",
    has_encoder=False,
    ends_rows=False,
    tokenizer=vocabulary.made_up_byte_pairs,
    ordinary=vocabulary.ordinary_byte_pairs,
)
# By what stands before the name of the file in --size.
_FAMILIES = {"": T5, "gpt2/": GPT2}


def family_of(size: str) -> tuple[Family, str]:
    """The family of --size, and its file: "small" is one of T5 v1.1, "gpt2/small" one of GPT-2.

    Raises:
        UserError: there is no such family; those that there are are listed.
    """
    folder, slash, name = size.rpartition("/")
    found = _FAMILIES.get(folder + slash)
    if found is None:
        known = ", ".join(f"{before}small ({of.name})" for before, of in _FAMILIES.items())
        raise UserError(f"--size={size}: no such family of models is measured; there are {known}.")
    return found, name
