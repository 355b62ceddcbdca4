"""Imports every owner's module, so that `registry` knows all event types and topics."""

from shared.contracts import membership
from shared.contracts.envelope import Registry, registry

OWNERS = (membership,)


def full_registry() -> Registry:
    """The registry with every event type of every owner."""
    return registry
