"""Nobody gets in, up or at what is not his. A package, so that the services end with the last test here."""
