"""Who read and who changed, for auditors."""
