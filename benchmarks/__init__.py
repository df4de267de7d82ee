"""What is measured beside the tests; not installed."""
