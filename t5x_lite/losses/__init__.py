"""Logits and targets to one number: cross-entropy, z-loss, label smoothing, normalization."""
