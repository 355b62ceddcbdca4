"""Answers put together from what several owners say, while they say it."""
