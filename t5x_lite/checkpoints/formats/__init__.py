"""Foreign formats: each is a row of `table.FORMATS`, made of two functions and a table of names."""
