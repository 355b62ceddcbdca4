"""Tells browsers that a view has changed, by server-sent events: where, never what."""
