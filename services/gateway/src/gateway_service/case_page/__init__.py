"""A case with its history and the names of the people in it."""
