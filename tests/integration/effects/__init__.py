"""What one service does because of another. A package, so that the house ends with the last test here."""
