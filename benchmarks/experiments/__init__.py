"""Small real experiments on claims of the T5 paper: d_model 128, 2 + 2 layers, 4k pieces."""
