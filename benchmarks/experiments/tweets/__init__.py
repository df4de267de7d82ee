"""Which model tells tweets of a disaster best, and what that depends on (Ojo et al.)."""
