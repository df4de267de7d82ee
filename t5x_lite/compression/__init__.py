"""Making a trained model smaller: teachers, weights that go, ranges of 8 bits, fewer pieces."""
