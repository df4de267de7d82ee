"""Making a trained model smaller: fewer pieces in its vocabulary."""
