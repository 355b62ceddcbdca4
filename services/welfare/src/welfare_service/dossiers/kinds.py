"""The kinds by which a household, its persons and their amounts are sorted."""

from enum import StrEnum


class DocumentType(StrEnum):
    """Documents that prove an identity; membership judges their numbers."""

    RESIDENT_ID = "resident_id"
    HONG_KONG_MACAO_PERMIT = "hong_kong_macao_permit"
    TAIWAN_PERMIT = "taiwan_permit"
    FOREIGN_PERMANENT_RESIDENCE = "foreign_permanent_residence"
    PASSPORT = "passport"
    MILITARY = "military"


class Cause(StrEnum):
    """Why a household is in hardship (致困原因)."""

    ILLNESS = "illness"
    DISABILITY = "disability"
    SCHOOLING = "schooling"
    SINGLE_PARENT = "single_parent"
    UNEMPLOYMENT = "unemployment"
    DISASTER = "disaster"
    ACCIDENT = "accident"
    OTHER = "other"


class Exclusion(StrEnum):
    """What bars a household from any class, whatever its income."""

    TWO_HOMES = "two_homes"
    CAR = "car"
    COSTLY_SCHOOL = "costly_school"
    OWN_ENTERPRISE = "own_enterprise"
    CHECK_REFUSED = "check_refused"
    FALSE_PAPERS = "false_papers"


class Relation(StrEnum):
    """What a person is to the head of the household."""

    HEAD = "head"
    SPOUSE = "spouse"
    CHILD = "child"
    PARENT = "parent"
    GRANDPARENT = "grandparent"
    GRANDCHILD = "grandchild"
    SIBLING = "sibling"
    OTHER = "other"


class Health(StrEnum):
    """A person's health, as far as hardship work sorts it."""

    GOOD = "good"
    CHRONIC = "chronic"
    SERIOUS = "serious"
    DISABLED = "disabled"


class Insurance(StrEnum):
    """A person's medical insurance."""

    NONE = "none"
    EMPLOYEE = "employee"
    RESIDENT = "resident"


class Occupation(StrEnum):
    """What a person does."""

    EMPLOYED = "employed"
    FLEXIBLE = "flexible"
    UNEMPLOYED = "unemployed"
    STUDENT = "student"
    RETIRED = "retired"
    CHILD = "child"


class LineKind(StrEnum):
    """What an amount is: income, or spending that cannot be avoided (after insurance and other aid)."""

    WAGE = "income-wage"
    BUSINESS = "income-business"
    PROPERTY = "income-property"
    TRANSFER = "income-transfer"
    ILLNESS = "spending-illness"
    DISABILITY = "spending-disability"
    SCHOOLING = "spending-schooling"
    HOUSING = "spending-housing"
    OTHER = "spending-other"

    @property
    def is_income(self) -> bool:
        """Whether it comes in."""
        return self.value.startswith("income-")


class CloseReason(StrEnum):
    """Why a dossier ends."""

    OUT_OF_HARDSHIP = "out_of_hardship"
    NOT_ELIGIBLE = "not_eligible"
    MOVED_AWAY = "moved_away"
    OPENED_IN_ERROR = "opened_in_error"
    FALSE_STATEMENT = "false_statement"
    DECEASED = "deceased"
