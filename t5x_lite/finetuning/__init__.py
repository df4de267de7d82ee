"""What is trained and what is added when a pre-trained model is fine-tuned."""
