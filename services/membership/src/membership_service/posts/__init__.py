"""Dated roles of users at organisations: the one source of rights."""
