"""Who acts and when: handed to every use case, so that no rule asks the clock or the request."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Self

from shared.kernel.clock import china_date
from shared.security.policy import Caller

#: The issuer of what the system itself does.
SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class By:
    """A user of the identity provider (or ("system", a job's name)) and the moment of the act, in UTC."""

    issuer: str
    subject: str
    at: datetime

    @classmethod
    def caller(cls, caller: Caller, now: datetime) -> Self:
        """The caller, now."""
        return cls(caller.issuer, caller.subject, now)

    @property
    def today(self) -> date:
        """The day in China on which the act happens."""
        return china_date(self.at)
