"""Payments to members: batches for the bank, its answers, and what contradicts them."""
