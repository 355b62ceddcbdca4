"""Counts of members for any subtree and any day, kept up by events, rebuilt beside the live ones."""
