"""Strings to ids: vocabularies and their training."""
