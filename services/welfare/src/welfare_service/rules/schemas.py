"""Bodies of requests and replies about rules."""

from datetime import date
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, Field

from shared.web.body import Body
from welfare_service.rules.domain import Rule, RuleKey

Source = Annotated[str, Field(min_length=1, max_length=300)]


class RuleBody(Body):
    """A rule for a unit and all below it. Amounts are whole fen, ratios whole permille; `valid_to` is the last day."""

    organisation_id: UUID
    key: RuleKey
    value: Any
    valid_from: date
    valid_to: date | None = None
    source: Source


class EndBody(Body):
    """The last day of a rule."""

    on: date


class DefaultsBody(Body):
    """The unit that gets the defaults, as a rule the one at the top."""

    organisation_id: UUID


class RuleReply(BaseModel):
    """A rule as it stands."""

    id: UUID
    organisation_id: UUID
    key: RuleKey
    value: Any
    valid_from: date
    valid_to: date | None
    source: str
    version: int

    @classmethod
    def of(cls, rule: Rule) -> Self:
        """As it stands."""
        return cls.model_validate(rule, from_attributes=True)


class RulesReply(BaseModel):
    """Several rules, by key."""

    items: list[RuleReply]
