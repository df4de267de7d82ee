"""(targets, predictions) to numbers; NumPy only."""
