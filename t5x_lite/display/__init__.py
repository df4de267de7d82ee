"""How jobs and results are shown: what is said, tables, and pages with charts of one file."""
