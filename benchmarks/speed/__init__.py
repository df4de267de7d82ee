"""How fast this is: beside named peers in one run, and beside what the machine can do."""
