"""How a family's config.json says where its tokens stand."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from t5x_lite.bounds import MAX_LENGTH
from t5x_lite.checkpoints.formats import fields
from t5x_lite.checkpoints.formats.fields import Values
from t5x_lite.errors import UserError
from t5x_lite.model.config import LearnedPositionsConfig, RelativeKeysConfig, StackConfig


@runtime_checkable
class Positions(Protocol):
    """Positions of a kind; `fixed` are fields that are built in."""

    @property
    def fixed(self) -> Mapping[str, Any]:
        """Fields that may have one value only."""
        ...

    def read(self, values: Values) -> LearnedPositionsConfig | RelativeKeysConfig:
        """What a file says."""
        ...

    def write(self, stack: StackConfig) -> dict[str, Any] | None:
        """The fields of a stack; None if it has positions of another kind."""
        ...


@dataclasses.dataclass(frozen=True)
class Learned:
    """A table, of which the first rows may be unused; a field tells how many it has."""

    unused: int = 0
    field: str = "max_position_embeddings"

    @property
    def fixed(self) -> Mapping[str, Any]:
        """What transformers calls them."""
        return {"position_embedding_type": "absolute"}

    def read(self, values: Values) -> LearnedPositionsConfig:
        """Of the rows that are used."""
        fields.check_present(values, [self.field])
        fields.check_sizes(values, {self.field: MAX_LENGTH})
        if values[self.field] <= self.unused:
            raise UserError(
                f"config.json has {self.field}={values[self.field]}; needed are more than "
                f"{self.unused} positions."
            )
        return LearnedPositionsConfig(
            max_length=values[self.field] - self.unused, unused=self.unused
        )

    def write(self, stack: StackConfig) -> dict[str, Any] | None:
        """All rows."""
        if stack.max_length is None:
            return None
        return {self.field: stack.max_length + self.unused}


@dataclasses.dataclass(frozen=True)
class Distances:
    """Keys of distances, in both directions; a field may bound the longest, and -1 bounds none."""

    field: str = "clamp_len"

    @property
    def fixed(self) -> Mapping[str, Any]:
        """No other directions."""
        return {"attn_type": "bi", "bi_data": False, "same_length": False}

    def read(self, values: Values) -> RelativeKeysConfig:
        """Nothing that is not above 0 bounds any."""
        longest = values.get(self.field)
        if longest is None or (type(longest) is int and longest <= 0):
            return RelativeKeysConfig()
        fields.check_sizes(values, {self.field: MAX_LENGTH})
        return RelativeKeysConfig(max_distance=longest)

    def write(self, stack: StackConfig) -> dict[str, Any] | None:
        """The longest."""
        if stack.relative_keys is None:
            return None
        return {self.field: stack.relative_keys.max_distance or -1}
