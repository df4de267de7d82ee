"""What every metric asks of its arguments: as many predictions as targets, and at least one."""

from collections.abc import Sequence
from typing import Any

from t5x_lite.errors import UserError


def check_pairs(targets: Sequence[Any], predictions: Sequence[Any]) -> None:
    """A silently shortened comparison would overstate a score, and 0/0 is none.

    Raises:
        UserError: there is nothing to score, or not one prediction for each target.
    """
    if len(targets) != len(predictions):
        raise UserError(
            f"{len(targets)} targets and {len(predictions)} predictions were given; needed is one "
            "prediction for each target."
        )
    if not len(targets):
        raise UserError("There are no targets to score; was the split empty?")
