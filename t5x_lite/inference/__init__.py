"""Model and decoder to text."""
