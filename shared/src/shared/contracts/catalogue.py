"""Imports every owner's module, so that `registry` knows all event types and topics."""

from shared.contracts import events_service, membership, welfare
from shared.contracts.envelope import Registry, registry

OWNERS = (membership, welfare, events_service)


def full_registry() -> Registry:
    """The registry with every event type of every owner."""
    return registry
