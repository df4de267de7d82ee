"""Training steps compiled for TPU pods: what they need, beside T5X's."""
