"""Files of rows -> the texts of examples, any thousand of them by their place."""
