"""Programmes of help: who may be helped with what, until when, out of which budget."""
