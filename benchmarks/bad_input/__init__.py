"""Bad input of every kind, and what becomes of it."""
