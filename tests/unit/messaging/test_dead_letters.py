import pytest

from shared.messaging.dead_letters import cause_of


def raised(error: ValueError) -> ValueError:
    def handler() -> None:
        raise error

    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the caller made it
        handler()
    return caught.value


@pytest.mark.parametrize("secret", ["110101199003078515", "13912345678", "6222021234567890123"])
def test_a_cause_quotes_no_number_of_a_person(secret: str) -> None:
    cause = cause_of(raised(ValueError(f"cannot read {secret}\nDETAIL: Key (document)=({secret})")))
    assert secret not in cause.text
    assert cause.text.startswith("ValueError: cannot read")
    assert "DETAIL" not in cause.text


def test_a_cause_says_where_it_came_from() -> None:
    assert "handler" in cause_of(raised(ValueError("x"))).stack[-1]
