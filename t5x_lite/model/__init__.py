"""Features to logits: one Transformer for every architecture; the only room that imports flax."""
