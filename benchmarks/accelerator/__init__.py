"""What one accelerator does with our programs, and with peers, in one short call."""
