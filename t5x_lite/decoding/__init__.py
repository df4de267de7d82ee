"""Next-token logits to sequences; knows no model."""
