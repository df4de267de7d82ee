"""Which group a parameter, or each layer of a stacked one, belongs to: the first that matches."""

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from t5x_lite.display.terminal import aligned
from t5x_lite.errors import UserError
from t5x_lite.optim.config import ParameterGroup

# The group of each layer of a parameter (of the one tensor if it is not stacked); None: no group.
Chosen = tuple[ParameterGroup | None, ...]


class Tensor(NamedTuple):
    """What matching needs to know of a parameter."""

    shape: tuple[int, ...]
    is_stacked: bool

    @property
    def num_layers(self) -> int:
        """Number of tensors that lie in this one."""
        return self.shape[0] if self.is_stacked else 1


def choose(groups: Sequence[ParameterGroup], tensors: Mapping[str, Tensor]) -> dict[str, Chosen]:
    """The group of every layer of every parameter, by the parameter's path.

    Raises:
        UserError: a group is left without a parameter, or all parameters are frozen.
    """
    chosen: dict[str, Chosen] = {name: (None,) * each.num_layers for name, each in tensors.items()}
    for number, group in enumerate(groups):
        matching = [name for name in tensors if re.fullmatch(group.pattern, name)]
        _check_match(group, matching, tensors)
        is_used = False
        for name in matching:
            taken = tuple(
                group if old is None and _covers(group, tensors[name], layer) else old
                for layer, old in enumerate(chosen[name])
            )
            is_used |= taken != chosen[name]
            chosen[name] = taken
        if not is_used:
            raise UserError(
                f"the parameter group {number + 1}, pattern={group.pattern!r}, is left without a "
                "parameter: earlier groups match all of its own, and the first that matches wins. "
                "Put the narrower pattern first in --gin.PARAMETER_GROUPS."
            )
    if all(group and group.frozen for groups in chosen.values() for group in groups):
        raise UserError(
            "the parameter groups "
            f"{', '.join(repr(group.pattern) for group in groups)} freeze every parameter: "
            "there is nothing to train. Narrow a pattern."
        )
    return chosen


def _covers(group: ParameterGroup, tensor: Tensor, layer: int) -> bool:
    if group.layers is None:
        return True
    first, last = group.layers
    return tensor.is_stacked and first <= layer <= last


def _check_match(
    group: ParameterGroup, matching: Sequence[str], tensors: Mapping[str, Tensor]
) -> None:
    if not matching:
        nearest = difflib.get_close_matches(group.pattern, tensors, n=3, cutoff=0.0)
        below = [name for name in tensors if re.match(f"{group.pattern}/", name)]
        hint = f" {group.pattern + '/.*'!r} matches {len(below)}." if below else ""
        raise UserError(
            f"the parameter group with pattern={group.pattern!r} matches no parameter; needed is a "
            f"regular expression for whole paths.{hint} The nearest paths are "
            f"{', '.join(nearest)}."
        )
    if group.layers is None:
        return
    depths = {tensors[name].num_layers for name in matching if tensors[name].is_stacked}
    if not depths or group.layers[1] >= max(depths):
        have = f"have layers 0 to {max(depths) - 1}" if depths else "are no layers of a stack"
        raise UserError(
            f"layers={group.layers} of the parameter group {group.pattern!r}: the parameters that "
            f"it matches, such as {matching[0]}, {have}."
        )


def describe(
    groups: Sequence[ParameterGroup],
    tensors: Mapping[str, Tensor],
    chosen: Mapping[str, Chosen],
    *,
    weight_decay: float | int,
) -> str:
    """A table: what each group holds and how it is treated; empty without groups."""
    if not groups:
        return ""
    rows = [("parameter group", "tensors", "parameters", "learning rate", "weight decay")]
    for group in (*groups, None):
        held = {name: sum(each is group for each in chosen[name]) for name in tensors}
        size = sum(
            math.prod(tensors[name].shape) // tensors[name].num_layers * layers
            for name, layers in held.items()
        )
        count = sum(layers > 0 for layers in held.values())
        rows.append((_name(group), f"{count:,}", f"{size:,}", *_values(group, weight_decay)))
    return aligned(rows, numbers_from=1)


def _name(group: ParameterGroup | None) -> str:
    if group is None:
        return "all others"
    name = group.pattern
    if group.layers is not None:
        first, last = group.layers
        name += f", layer {first}" if first == last else f", layers {first} to {last}"
    return f"{name}, from step {group.from_step:,}" if group.from_step else name


def _values(group: ParameterGroup | None, weight_decay: float | int) -> tuple[str, str]:
    if group is None:
        return "x 1", f"{weight_decay:g}"
    if group.frozen:
        return "frozen", "-"
    decay = weight_decay if group.weight_decay is None else group.weight_decay
    return f"x {group.learning_rate:g}", f"{decay:g}"
