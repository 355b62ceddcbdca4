"""Bodies of requests and replies about members. Unknown fields are refused: nobody sets a status or an approver by body."""

from datetime import date, datetime
from typing import Annotated, Any, Final, Self
from uuid import UUID

from pydantic import BaseModel, Field

from membership_service.members import sealing
from membership_service.members.documents import DocumentType
from membership_service.members.domain import Happening, HistoryEntry, Member
from shared.contracts.membership import EmploymentForm, Gender, MemberStatus
from shared.security.keys import KeyRing
from shared.security.masking import mask_document, mask_phone
from shared.web.body import Body, Reason
from shared.web.paging import PageBody

#: The longest thing anybody writes as a name, number or phone; the rules themselves are stricter.
_MAX_TEXT: Final = 100
MAX_NAMES: Final = 500

Text = Annotated[str, Field(min_length=1, max_length=_MAX_TEXT)]


class PersonBody(Body):
    """A person. Birth date and gender may be left out for a resident ID, which says both; if given they must agree."""

    name: Text
    document_type: DocumentType = DocumentType.RESIDENT_ID
    document_number: Text
    phone: Text | None = None
    gender: Gender | None = None
    birth_date: date | None = None
    employment_form: EmploymentForm = EmploymentForm.CONTRACT


class ApplicationBody(PersonBody):
    """Somebody asks to join an organisation."""

    organisation_id: UUID


class ApplicationReply(BaseModel):
    """The application as it was taken. `warnings` are codes of doubts that refuse nothing."""

    id: UUID
    organisation_id: UUID
    status: MemberStatus
    version: int
    warnings: list[str] = []


class ChangeBody(Body):
    """Details to change; what is left out stays. Document type and number change together."""

    name: Text | None = None
    document_type: DocumentType | None = None
    document_number: Text | None = None
    phone: Text | None = None
    gender: Gender | None = None
    birth_date: date | None = None
    employment_form: EmploymentForm | None = None
    reason: Reason | None = None


class UserBody(Body):
    """The account at the identity provider who is this member; without an issuer, at the caller's own provider."""

    issuer: Text | None = None
    subject: Text


class NoteBody(Body):
    """A step that may have a reason."""

    reason: Reason | None = None


class ReasonBody(Body):
    """A step that needs a reason."""

    reason: Reason


class DeceaseBody(NoteBody):
    """The day of death."""

    on: date


class MemberReply(BaseModel):
    """A member as everyone in charge sees it: numbers masked. An erased member has no name and no numbers."""

    id: UUID
    member_number: str | None
    name: str
    document_type: str
    document_masked: str | None
    phone_masked: str | None
    gender: Gender
    birth_year: int | None
    employment_form: EmploymentForm
    status: MemberStatus
    organisation_id: UUID
    joined_on: date | None
    left_on: date | None
    applied_at: datetime | None
    escalated_at: datetime | None
    erased_at: datetime | None
    version: int

    @classmethod
    def of(cls, member: Member, ring: KeyRing) -> Self:
        """The member with numbers masked."""
        return cls(**_shown(member, ring))


class DetailReply(MemberReply):
    """One member, with affiliations, and doubts that an officer should look at (codes)."""

    affiliations: list["AffiliationReply"]
    warnings: list[str]

    @classmethod
    def detail(cls, member: Member, ring: KeyRing, warnings: list[str]) -> Self:
        """The member with numbers masked."""
        links = [AffiliationReply.model_validate(link, from_attributes=True) for link in member.affiliations]
        return cls(**_shown(member, ring), affiliations=links, warnings=warnings)


class UnmaskedReply(BaseModel):
    """What was masked."""

    id: UUID
    document_number: str
    phone: str | None
    birth_date: date | None


class HistoryReply(BaseModel):
    """What happened to a member, who did it and why."""

    version: int
    happening: Happening
    happened_at: datetime
    on: date
    organisation_id: UUID
    other_organisation_id: UUID | None
    actor_issuer: str
    actor_subject: str
    reason: str | None

    @classmethod
    def of(cls, entry: HistoryEntry) -> Self:
        """One step."""
        return cls(
            on=entry.on_date, **{name: getattr(entry, name) for name in cls.model_fields if name != "on"}
        )


class AffiliationReply(BaseModel):
    """A dated link to an organisation; without `from_on` it was applied for and never began (or not yet)."""

    organisation_id: UUID
    from_on: date | None
    to_on: date | None


class SearchBody(PageBody):
    """Look somebody up in the subtree of `organisation_id` (default: everything in one's charge).

    Give one of: `name` (a whole name or its beginning), `pinyin` (likewise, or initials), `last_four` of the document number,
    `phone` (whole).
    """

    organisation_id: UUID | None = None
    name: Text | None = None
    pinyin: Text | None = None
    last_four: Annotated[str, Field(min_length=4, max_length=8)] | None = None
    phone: Text | None = None
    exact: bool = False
    status: MemberStatus | None = None


def _shown(member: Member, ring: KeyRing) -> dict[str, Any]:
    opened = sealing.opened(ring, member)
    shown = {name: getattr(member, name) for name in MemberReply.model_fields if not name.endswith("_masked")}
    return shown | {
        "document_masked": mask_document(opened.document_number) if opened else None,
        "phone_masked": mask_phone(opened.phone) if opened and opened.phone else None,
    }


class NamesBody(Body):
    """Members whose names are asked for."""

    ids: Annotated[list[UUID], Field(max_length=MAX_NAMES)]


class NamesReply(BaseModel):
    """Names by member id. Ids that are unknown or in nobody's charge here are left out."""

    names: dict[UUID, str]
