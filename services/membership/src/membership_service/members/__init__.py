"""Members: who a person is, where the person belongs, and how that came about."""
