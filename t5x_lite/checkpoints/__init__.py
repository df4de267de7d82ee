"""Orbax checkpoints, and the formats of others."""
