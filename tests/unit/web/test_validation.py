"""Every mistake that pydantic finds has words of ours in both languages, and none quotes the input."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from shared.kernel.texts import text
from shared.web.body import Reason
from shared.web.validation import problems_of

SECRET = "110101199003070011"


class Colour(StrEnum):
    RED = "red"


def refuse(_: str) -> str:
    raise PydanticCustomError("field-too-long", "own words", {"limit": 7})


def refuse_plainly(value: str) -> str:
    raise ValueError(f"I quote {value}")


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    number: int = 1
    share: float = 0.5
    price: Decimal = Decimal(1)
    flag: bool = True
    id: UUID | None = None
    day: date | None = None
    moment: datetime | None = None
    words: Annotated[str, Field(min_length=2, max_length=5, pattern="^[a-z]+$")] = "abc"
    rows: Annotated[list[int], Field(min_length=1, max_length=2)] = [1]
    colour: Colour = Colour.RED
    choice: Literal["a", "b"] = "a"
    inner: dict[str, int] = {}
    checked: Annotated[str, AfterValidator(refuse)] = ""
    plainly: Annotated[str, AfterValidator(refuse_plainly)] = ""


CASES: list[tuple[dict[str, Any], str, str]] = [
    ({"number": SECRET + "x"}, "number", "field-not-integer"),
    ({"number": 1.5}, "number", "field-not-integer"),
    ({"share": SECRET + "x"}, "share", "field-not-number"),
    ({"price": "x"}, "price", "field-not-number"),
    ({"flag": SECRET}, "flag", "field-not-boolean"),
    ({"id": SECRET}, "id", "field-not-id"),
    ({"day": SECRET + "x"}, "day", "field-not-date"),
    ({"day": "2026-02-30"}, "day", "field-not-date"),
    ({"moment": "yesterday"}, "moment", "field-not-time"),
    ({"words": 1}, "words", "field-not-text"),
    ({"words": "a"}, "words", "field-too-short"),
    ({"words": SECRET}, "words", "field-too-long"),
    ({"words": "ABC"}, "words", "field-malformed"),
    ({"rows": 1}, "rows", "field-not-list"),
    ({"rows": []}, "rows", "field-too-few"),
    ({"rows": [1, 2, 3]}, "rows", "field-too-many"),
    ({"rows": ["x"]}, "rows/0", "field-not-integer"),
    ({"colour": SECRET}, "colour", "field-not-listed"),
    ({"choice": SECRET}, "choice", "field-not-listed"),
    ({"inner": []}, "inner", "field-not-object"),
    ({"inner": {SECRET: "x"}}, "inner/…", "field-not-integer"),
    ({SECRET: 1}, "…", "field-unknown"),
    ({"status": 1}, "status", "field-unknown"),
    ({"checked": SECRET}, "checked", "field-too-long"),
    ({"plainly": SECRET}, "plainly", "field-malformed"),
]


@pytest.mark.parametrize(("given", "path", "code"), CASES)
def test_a_mistake_has_its_words(given: dict[str, Any], path: str, code: str) -> None:
    with pytest.raises(ValidationError) as wrong:
        Body.model_validate(given)
    [problem] = problems_of(wrong.value.errors())
    assert (problem.path, problem.code) == (path, code)
    for language in ("zh-CN", "en"):
        words = text(problem.code, language, **problem.params)
        assert SECRET not in words
        assert "{" not in words


def test_a_thousand_mistakes_are_not_all_told() -> None:
    with pytest.raises(ValidationError) as wrong:
        Body.model_validate({f"extra{number}": 1 for number in range(1000)})
    assert len(problems_of(wrong.value.errors())) == 100


@pytest.mark.parametrize("blank", ["\u200b", "\u200b\u2060 \ufeff", "……", "-"])
def test_what_nobody_can_read_is_no_reason(blank: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(Reason).validate_python(blank)
    assert [one.code for one in problems_of(refused.value.errors())] == ["field-says-nothing"]
    assert TypeAdapter(Reason).validate_python(" 材料不全\u200b ") == "材料不全\u200b"
