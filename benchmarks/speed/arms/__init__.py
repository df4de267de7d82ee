"""What takes part, one kind a file: each function makes an arm, in a process of its own."""
