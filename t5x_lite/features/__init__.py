"""What a model is fed: names, layouts, special tokens, known to data, models and checks alike."""
