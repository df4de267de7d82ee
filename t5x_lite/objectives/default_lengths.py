"""Lengths of features where nobody has said any: windows of 512 tokens, and of targets as many as
an objective makes of them.
"""

from t5x_lite.objectives import masked_table, table

_WINDOW = 512


def of(objective: str) -> dict[str, int]:
    """The lengths of a task's features.

    Raises:
        UserError: there is no such objective.
    """
    if objective in masked_table.MASKED_OBJECTIVES:
        masked = masked_table.MASKED_OBJECTIVES[objective]
        beside = {"classes": 1} if masked.is_pair else {}
        return dict.fromkeys(masked.aligned, _WINDOW) | beside
    found = table.find(objective)
    if found.inputs is None:
        return {"targets": _WINDOW}
    needs = found.window({"inputs": _WINDOW, "targets": _WINDOW}, 1 if found.mode else 0)
    return {"inputs": _WINDOW, "targets": needs.targets}
