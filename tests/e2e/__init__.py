"""A person's way through all services. A package, so that the stack ends with the last test here."""
