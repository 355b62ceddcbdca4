"""Passes requests on to the service that owns what they name."""
