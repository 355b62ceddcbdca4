"""Changing the key of the blind indexes: every row is opened and indexed anew, while look-ups try both keys."""
