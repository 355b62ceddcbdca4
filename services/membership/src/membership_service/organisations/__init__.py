"""The tree of union units: founded, renamed, moved, dissolved; its history; its import from a sheet."""
