"""What those who were there say of it."""
