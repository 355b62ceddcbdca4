"""Every event the gateway has read, once: a member's timeline, and what history views are rebuilt from."""
