"""What a foreign format is: a family of models in Hugging Face's layout, as one value."""

import dataclasses
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from t5x_lite.checkpoints.formats.names import Names
from t5x_lite.model.config import ModelConfig

_EMBEDDING = "token_embedder/embedding"


@dataclasses.dataclass(frozen=True)
class Format:
    """`model_types` are the families that config.json may name, `model_class` what transformers
    calls the model with its head, `scope` which models of ours it expresses, in words.

    `read_config` takes the parsed config.json and the names of the tensors beside it, and raises
    UserError for a model that is none of ours; `write_config` gives the values of the nearest
    model there is, None if none is near: what reading does not give back is not expressed.

    `copies` are tensors that may repeat the embedding, and whose name it may bear alone, unless a
    model holds them as parameters of their own. `unused` is a pattern of names of which no model
    of the family makes use, `constants` one of names that hold nothing learned. A model saved
    without its head may lack `prefix` in front of its names.
    """

    name: str
    model_types: tuple[str, ...]
    model_class: str
    scope: str
    read_config: Callable[[Mapping[str, Any], Collection[str]], ModelConfig]
    write_config: Callable[[ModelConfig], dict[str, Any] | None]
    names: Names
    copies: tuple[str, ...] = ()
    unused: str = ""
    constants: str = ""
    prefix: str = ""

    @property
    def embedding(self) -> str:
        """The tensor of the vocabulary's vectors."""
        return self.names[_EMBEDDING].name

    def is_unused(self, tensor: str) -> bool:
        """Whether a tensor may stand in a file and is of no use."""
        return re.fullmatch(self.unused, tensor) is not None

    def is_constant(self, tensor: str) -> bool:
        """Whether a tensor may stand in a file and is known without it."""
        return re.fullmatch(self.constants, tensor) is not None
