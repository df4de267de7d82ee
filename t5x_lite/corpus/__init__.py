"""Pages of the web and documents of the user's own -> clean documents, as C4 was made."""
