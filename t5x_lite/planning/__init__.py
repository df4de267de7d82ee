"""Answers before there is hardware: what a compiled program costs, and where it would run."""
