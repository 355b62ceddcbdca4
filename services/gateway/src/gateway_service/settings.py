"""Settings of the gateway."""

from typing import Annotated

from pydantic import Field

from shared.settings import ServiceSettings, WebUrl


class Settings(ServiceSettings):
    """What the gateway reads from the environment (prefix UNIONHALL_)."""

    membership_url: WebUrl = ""
    """Where the membership service answers, as the gateway reaches it."""
    welfare_url: WebUrl = ""
    """Where the welfare service answers."""
    events_url: WebUrl = ""
    """Where the events service answers."""
    identity_url: WebUrl = ""
    """The identity provider behind `/identity`, as the gateway reaches it."""
    owner_deadline: Annotated[float, Field(gt=0, le=300)] = 10.0
    """Seconds an owner has for the first byte of its answer."""
    file_deadline: Annotated[float, Field(gt=0, le=3600)] = 120.0
    """The same for uploads and downloads of files."""
    composed_deadline: Annotated[float, Field(gt=0, le=60)] = 2.5
    """Seconds within which all owners together answer for an overview, a page or a work list; who is later is missing."""
