"""Sealed fields, blind indexes, masking, the policy of who may do what, and the chained audit."""
