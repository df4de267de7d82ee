"""CTranslate2's directory, which its own converter makes of ours for Hugging Face."""

import pathlib
import tempfile
from typing import Any

from t5x_lite.checkpoints import huggingface
from t5x_lite.errors import UserError
from t5x_lite.exporting.source import Source
from t5x_lite.text.huggingface_files import huggingface_files

try:
    # The latter two are what the first converts with, and it tries to do without them.
    import ctranslate2.converters
    import torch  # noqa: F401
    import transformers  # noqa: F401
except ImportError as error:
    raise UserError(
        f"--format=ctranslate2 needs CTranslate2's converter, and {error.name} is not installed: "
        "pip install ctranslate2 torch transformers"
    ) from error


def write(folder: pathlib.Path, source: Source) -> None:
    """Writes a model that `ctranslate2.Translator`, or of a language model `Generator`, reads, with
    the tokenizer's files beside it.

    Raises:
        UserError: there is no vocabulary, or Hugging Face or CTranslate2 cannot express the model.
    """
    if source.tokenizer is None:
        raise UserError(
            "--format=ctranslate2 writes the pieces of the vocabulary into the model, and there is "
            "none: --vocabulary=PATH."
        )
    with tempfile.TemporaryDirectory(dir=folder.parent) as between:
        huggingface.save(between, source.model, source.parameters, source.tokenizer)
        converter = Converter(
            between,
            scale_logits=source.model.scale_logits,
            copy_files=sorted(huggingface_files(source.tokenizer)),
        )
        try:
            converter.convert(str(folder), force=True)
        except (ValueError, NotImplementedError) as error:
            raise UserError(f"CTranslate2 does not convert this model: {error}") from error


class Converter(ctranslate2.converters.TransformersConverter):
    """transformers 5 says of every T5 that its head is tied, wherefore logits would be scaled as
    those of v1.0; greedy tokens would be the same, probabilities and beams not.
    """

    def __init__(self, directory: str, *, scale_logits: bool, **how: Any) -> None:
        super().__init__(directory, **how)
        self._scale_logits = scale_logits

    def load_model(self, model_class: Any, model_name_or_path: str, **kwargs: Any) -> Any:
        """A model that says of its logits what is true."""
        model = super().load_model(model_class, model_name_or_path, **kwargs)
        model.config.tie_word_embeddings = self._scale_logits
        return model
