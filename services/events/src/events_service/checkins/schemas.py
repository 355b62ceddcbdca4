"""Bodies of requests and replies about check-ins."""

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from events_service.checkins.codes import IssuedCode
from events_service.checkins.domain import MAX_ROWS, CheckIn, Outcome, Scanned, Verdict, Way
from events_service.checkins.repository import Listed
from shared.kernel.texts import Language, text
from shared.web.body import Body

_Number = Annotated[int, Field(ge=1, le=50, description="number of the session, from 1")]
_DeviceText = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._:-]+$")]


class DeviceBody(Body):
    """Of a request: what a device sends is taken as it came."""

    model_config = ConfigDict(str_strip_whitespace=False)


class CodeReply(BaseModel):
    """What to show at the entrance; ask again before it expires."""

    code: str
    expires_at: datetime
    qr: str = Field(description="the code as a picture: a data URL of an SVG")

    @classmethod
    def of(cls, issued: IssuedCode, picture: str) -> Self:
        """With its picture."""
        return cls(code=issued.code, expires_at=issued.expires_at, qr=picture)


class ScanBody(DeviceBody):
    """What a member's phone read."""

    code: Annotated[str, Field(min_length=1, max_length=200)]


class HandBody(DeviceBody):
    """Whom an organiser signs in, by registration or by member; now, unless `at` says when it was."""

    registration_id: UUID | None = None
    member_id: UUID | None = None
    session: _Number | None = None
    at: AwareDatetime | None = None


class BatchRow(DeviceBody):
    """One entry of a device that was offline."""

    registration_id: UUID
    at: AwareDatetime
    device_id: _DeviceText
    local_id: _DeviceText

    def scanned(self) -> Scanned:
        """As the domain has it."""
        return Scanned(self.registration_id, self.at, self.device_id, self.local_id)


class BatchBody(DeviceBody):
    """What a device wrote down, in any order."""

    rows: Annotated[list[BatchRow], Field(min_length=1, max_length=MAX_ROWS)]


class CheckInReply(BaseModel):
    """Somebody was there. `attended_at` is the earliest moment that is known."""

    registration_id: UUID
    session: int
    attended_at: datetime

    @classmethod
    def of(cls, check_in: CheckIn) -> Self:
        """As it stands."""
        return cls(
            registration_id=check_in.registration_id,
            session=check_in.session_number,
            attended_at=check_in.attended_at,
        )


class RowReply(BaseModel):
    """What became of one entry; a duplicate needs no more attention than an accepted one."""

    device_id: str
    local_id: str
    outcome: Outcome
    session: int | None
    reason: str | None
    text: str | None

    @classmethod
    def of(cls, row: BatchRow, verdict: Verdict, language: Language) -> Self:
        """In the order in which they were sent."""
        return cls(
            device_id=row.device_id,
            local_id=row.local_id,
            outcome=verdict.outcome,
            session=verdict.session_number,
            reason=verdict.reason,
            text=text(verdict.reason, language) if verdict.reason else None,
        )


class BatchReply(BaseModel):
    """One answer for each row."""

    rows: list[RowReply]


class ListedReply(BaseModel):
    """A line of the sign-in sheet."""

    registration_id: UUID
    member_id: UUID
    session: int
    attended_at: datetime
    way: Way

    @classmethod
    def of(cls, listed: Listed) -> Self:
        """As it stands."""
        return cls(
            registration_id=listed.registration_id,
            member_id=listed.member_id,
            session=listed.session_number,
            attended_at=listed.attended_at,
            way=listed.way,
        )
