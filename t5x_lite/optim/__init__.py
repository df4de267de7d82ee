"""Parameter updates: Adafactor, AdamW, learning-rate schedules."""
