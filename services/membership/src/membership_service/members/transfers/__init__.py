"""Moves of members between units (接转): asked for, released by the old unit, accepted by the new one."""
