"""Making a trained model smaller: what of it goes while it trains on, as values for training."""
