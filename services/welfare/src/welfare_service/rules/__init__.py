"""Rules: every figure of welfare work is a dated row of a place (domain.md §3)."""
