import pytest

from unionhall_cli.verify.plaintext import leaks

#: A made-up person of the unassigned region 999999.
DOCUMENT = b"99999919900307" + b"123"


def checked(first_17: bytes) -> bytes:
    """With the check character that GB 11643 asks for."""
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    total = sum((byte - 48) * weight for byte, weight in zip(first_17, weights, strict=True))
    return first_17 + b"10X98765432"[total % 11 : total % 11 + 1]


@pytest.mark.parametrize(
    "around",
    [b"%s", b'{"document":"%s"}', b"id=%s,", b"\xe8\xaf\x81%s\xe5\x8f\xb7", b"/api/v1/members?document=%s"],
)
def test_a_document_number_is_found_wherever_it_stands(around: bytes) -> None:
    number = checked(DOCUMENT)
    assert leaks(around % number) == ["document"]
    assert leaks(around % number.lower()) == ["document"]


@pytest.mark.parametrize("phone", [b"15400000000", b"+8613800000000", b"'13800000000'"])
def test_a_phone_number_is_found(phone: bytes) -> None:
    assert leaks(b"called " + phone + b" today") == ["phone"]


@pytest.mark.parametrize(
    "innocent",
    [
        b"0000000000000000001",  # ce_sequence
        b"1795259702430",  # milliseconds
        b"0.13800000000",
        b"01a1fdeb-97fb-79df-8457-13800000000a",
        b"27771f5a933d1db98cab3c9c02f2b359",
        b"110***********1234",
    ],
)
def test_other_numbers_are_left_alone(innocent: bytes) -> None:
    assert leaks(innocent) == []


def test_eighteen_digits_are_no_document_without_their_check_character_or_a_date() -> None:
    number = checked(DOCUMENT)
    wrong = number[:-1] + (b"1" if number[-1:] != b"1" else b"2")
    assert leaks(wrong) == []
    assert leaks(checked(b"99999919901307123")) == []  # there is no month 13
