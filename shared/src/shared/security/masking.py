"""What is shown of sensitive values by default."""


def mask_document(number: str) -> str:
    """Three characters in front, four behind ("110***********1234"); of a short number only the last two."""
    return _mask(number, 3, 4) if len(number) >= 12 else _mask(number, 0, 2)


def mask_phone(number: str) -> str:
    """Like "139****5678"; of anything shorter than a mobile number only the last two digits."""
    return _mask(number, 3, 4) if len(number) >= 11 else _mask(number, 0, 2)


def mask_name(name: str) -> str:
    """The first character of the name and a star for each other: "张*", "欧**"."""
    return _mask(name, 1, 0)


def _mask(value: str, front: int, behind: int) -> str:
    hidden = len(value) - front - behind
    if hidden <= 0:
        return "*" * len(value)
    return value[:front] + "*" * hidden + value[len(value) - behind :]
