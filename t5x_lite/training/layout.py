"""Which features a model reads."""

from t5x_lite.data.layout import Layout
from t5x_lite.model.config import ModelConfig, Visibility


def layout_of(model: ModelConfig) -> Layout:
    """Encoder-decoder models read inputs and targets apart, the others one concatenation."""
    if model.encoder is not None:
        return Layout.ENCODER_DECODER
    prefix = model.decoder.visibility is Visibility.PREFIX
    return Layout.PREFIX_LM if prefix else Layout.LM
