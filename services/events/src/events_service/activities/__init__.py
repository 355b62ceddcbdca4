"""What members attend: planned, approved by another person, announced, opened for registration, held."""
