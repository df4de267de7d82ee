"""What a model of each architecture is fed, named without TensorFlow."""

import enum


class Layout(enum.Enum):
    """How `inputs` and `targets` become a model's features.

    An encoder-decoder reads them apart; an LM reads inputs and targets one after the other and is
    trained on both; a prefix LM reads the same, sees all of the inputs and is trained on targets.
    """

    ENCODER_DECODER = "encoder_decoder"
    LM = "lm"
    PREFIX_LM = "prefix_lm"
