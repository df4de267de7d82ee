"""A trained model -> a directory that others read."""
