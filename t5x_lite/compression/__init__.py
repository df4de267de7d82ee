"""Making a trained model smaller: values handed to training, and what a model becomes by them."""
