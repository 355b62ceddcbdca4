"""Wraps the data of an event of a service of its own: one version of one aggregate."""

from datetime import datetime
from uuid import UUID

from shared.contracts.envelope import Event, EventData
from shared.kernel.ids import new_id
from shared.observability.tracing import current_traceparent


def publication(data: EventData, subject: UUID, version: int, at: datetime) -> Event:
    """The event that says `data` of `subject`, whose version it made."""
    return Event(
        id=new_id(),
        subject=subject,
        sequence=version,
        time=at,
        source=data.topic.source,
        type=data.type,
        topic=data.topic,
        data=data,
        traceparent=current_traceparent(),
    )
