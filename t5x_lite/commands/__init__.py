"""The commands: what each is called, its flags, and the one function that it calls."""
