"""Ids to (inputs, targets)."""
