"""What a foreign format is: a family of models in Hugging Face's layout, as one value."""

import dataclasses
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from t5x_lite.checkpoints.formats.names import Names, of_heads, paths, shapes
from t5x_lite.checkpoints.formats.weights import Shape
from t5x_lite.model import transformer
from t5x_lite.model.config import ModelConfig


@dataclasses.dataclass(frozen=True)
class Format:
    """`model_types` are the families that config.json may name, `model_class` what transformers
    calls the model with its head, `scope` which models of ours it expresses, in words.

    `read_config` takes the parsed config.json and the names of the tensors beside it, and raises
    UserError for a model that is none of ours; `write_config` gives the values of the nearest
    model there is, None if none is near: what reading does not give back is not expressed.

    `copies` are tensors that may repeat another one, by its name, and whose name that may bear
    alone, unless a model holds them as parameters of their own. `unused` is a pattern of names of
    which no model of the family makes use, `constants` one of names that hold nothing learned. A
    model saved without its head may lack `prefix` in front of its names, and old files may end
    names as the keys of `formerly` do.
    """

    name: str
    model_types: tuple[str, ...]
    model_class: str
    scope: str
    read_config: Callable[[Mapping[str, Any], Collection[str]], ModelConfig]
    write_config: Callable[[ModelConfig], dict[str, Any] | None]
    names: Names
    copies: Mapping[str, str] = dataclasses.field(default_factory=dict)
    unused: str = ""
    constants: str = ""
    prefix: str = ""
    formerly: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def __hash__(self) -> int:
        return hash(self.name)

    def names_of(self, model: ModelConfig) -> Names:
        """The table, as wide as heads of the model are."""
        return of_heads(self.names, model.block.attention.head_dim)

    def tensors(self, model: ModelConfig) -> dict[str, Shape] | None:
        """The names and shapes of what holds a model; None if it has a parameter without place."""
        wanted = transformer.abstract_parameters(model)
        known = paths(wanted) <= self.names.keys()
        return shapes(self.names_of(model), wanted) if known else None

    def is_unused(self, tensor: str) -> bool:
        """Whether a tensor may stand in a file and is of no use."""
        return re.fullmatch(self.unused, tensor) is not None

    def is_constant(self, tensor: str) -> bool:
        """Whether a tensor may stand in a file and is known without it."""
        return re.fullmatch(self.constants, tensor) is not None
