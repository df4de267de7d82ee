"""How results are shown: the terminal, and pages with charts that need no network."""
