"""Logs without personal data, metrics, and traces from the request to the last consumer."""
