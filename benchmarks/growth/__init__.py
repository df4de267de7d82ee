"""How costs grow with what they are paid for."""
