"""What is measured: a function of a module here runs in a process of its own and gives JSON."""
