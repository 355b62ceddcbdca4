from dataclasses import replace
from datetime import date
from uuid import UUID, uuid4

import pytest

from membership_service.enterprises.domain import (
    Enterprise,
    Ownership,
    Particulars,
    Place,
    Rate,
    checked_credit_code,
)
from shared.kernel.errors import Invalid
from tests.support.membership import credit_code

TODAY = date(2026, 3, 16)
PLACE = Place(UUID(int=1), UUID(int=2), "1/2/")
REPORT = Particulars(
    name="示例机械厂",
    industry="制造业",
    ownership=Ownership.PRIVATE,
    headcount=100,
    women=40,
    migrant_workers=60,
    dispatched_workers=10,
    unionised=True,
    verified_on=TODAY,
)


def registered(particulars: Particulars = REPORT, place: Place = PLACE) -> Enterprise:
    return Enterprise.register(
        enterprise_id=uuid4(), credit_code=credit_code(7), particulars=particulars, place=place, today=TODAY
    )


def test_a_credit_code_is_checked_and_compacted() -> None:
    good = credit_code(7)
    assert checked_credit_code(f" {good[:8]} {good[8:].lower()}") == good
    wrong = good[:-1] + ("0" if good[-1] != "0" else "1")
    for bad in (wrong, good[:-1], good[1:] + good[0], ""):
        with pytest.raises(Invalid) as refused:
            checked_credit_code(bad)
        assert refused.value.code == "credit-code-invalid"


def test_all_wrong_figures_are_named_at_once() -> None:
    with pytest.raises(Invalid) as refused:
        registered(
            replace(REPORT, women=101, dispatched_workers=101, verified_on=date(2026, 3, 17)),
            Place(UUID(int=1), None, "1/"),
        )
    assert [(problem.path, problem.code) for problem in refused.value.problems] == [
        ("women", "enterprise-part-above-headcount"),
        ("dispatched_workers", "enterprise-part-above-headcount"),
        ("verified_on", "enterprise-verified-in-future"),
        ("organisation_id", "enterprise-unionised-by-nobody"),
    ]
    assert registered(replace(REPORT, women=100)).version == 1


def test_the_day_of_verification_never_goes_back() -> None:
    enterprise = registered()
    with pytest.raises(Invalid) as refused:
        enterprise.update(replace(REPORT, verified_on=date(2026, 3, 15)), PLACE, TODAY)
    assert (refused.value.code, enterprise.version) == ("enterprise-verified-earlier", 1)
    enterprise.update(replace(REPORT, headcount=90), PLACE, TODAY)
    assert (enterprise.headcount, enterprise.version) == (90, 2)


def test_a_rate_of_nothing_has_no_value() -> None:
    assert Rate(0, 0).value is None
    assert Rate(1, 3).value == 0.3333
