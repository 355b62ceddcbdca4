"""Tasks to look at a dossier again."""
