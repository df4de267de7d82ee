"""Task to predictions to metrics to report."""
