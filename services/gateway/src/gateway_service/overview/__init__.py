"""All that is known of one member, asked from its owners at once."""
