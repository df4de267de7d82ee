"""What a model will read: examples, lengths, padding, shares; on the terminal and as a page."""
