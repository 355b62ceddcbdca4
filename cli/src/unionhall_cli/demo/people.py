"""The people of the demo federation: seeded, so that the same seed and day give the same people. None of them exists."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from stdnum.cn import ric

from unionhall_cli.demo.places import SYLLABLES, Scale, Unit

_SURNAMES = SYLLABLES["surnames"]
_MALE = SYLLABLES["male"]
_FEMALE = SYLLABLES["female"]
#: With dots between the parts, with one or many characters, with rare characters.
_UNUSUAL = SYLLABLES["unusual"]
_FORMS = (
    ("劳动合同", 70), ("劳务派遣", 8), ("农民工", 10), ("灵活就业", 5), ("新就业形态", 5), ("其他", 2)
)  # fmt: skip
#: Days on which somebody can be born who is of working age; prime to _STEP, so that nobody has another's number.
_BIRTH_DAYS = 15_330
_STEP = 7_919
_YOUNGEST = 18 * 366
#: Unlike 150 to 153, this beginning of mobile numbers is assigned to nobody.
_PHONE = "154"


@dataclass(slots=True)
class Human:
    """One made-up person, as a roster tells of people. `born` is None where the document does not say it."""

    name: str
    document_type: str
    number: str
    phone: str
    gender: str
    born: date
    form: str
    unit: Unit
    joined_on: date


def people(scale: Scale, unions: Sequence[Unit], seed: int, on: date) -> Iterator[Human]:
    """The members of `scale` one after the other; `on` is the day on which the roster is written."""
    rng = Random(f"{seed}-{scale.name}-people")  # noqa: S311 - made-up data
    places = rng.choices(unions, [unit.weight for unit in unions], k=scale.members)
    forms, shares = [form for form, _ in _FORMS], [share for _, share in _FORMS]
    chosen_forms = rng.choices(forms, shares, k=scale.members)
    for serial, (unit, form) in enumerate(zip(places, chosen_forms, strict=True)):
        yield human(rng, scale, serial, unit, form, on)


def human(rng: Random, scale: Scale, serial: int, unit: Unit, form: str, on: date) -> Human:
    """The person with this serial number; two serial numbers never share a document or a phone."""
    is_male = rng.random() < 0.56
    born = date(on.year, 1, 1) - timedelta(days=_YOUNGEST + serial * _STEP % _BIRTH_DAYS)
    kind, number = _document(rng, scale, serial, born, is_male=is_male)
    return Human(
        name=_name(rng, is_male=is_male),
        document_type=kind,
        number=number,
        phone=f"{_PHONE}{int(scale.region[2]) % 10}{serial:07}" if rng.random() < 0.96 else "",
        gender="男" if is_male else "女",
        born=born,
        form=form,
        unit=unit,
        joined_on=_joined(rng, unit, born, on),
    )


def resident_id(region: str, born: date, order: int) -> str:
    """A resident ID with a valid check digit. `region` begins with 99, which no province has; `order` is odd for men."""
    first = f"{region}{born:%Y%m%d}{order:03}"
    return first + ric.calc_check_digit(first + "0")


def _document(rng: Random, scale: Scale, serial: int, born: date, *, is_male: bool) -> tuple[str, str]:
    draw = rng.random()
    if draw < 0.97:
        return "居民身份证", resident_id(scale.region, born, 2 * (serial // _BIRTH_DAYS) + is_male)
    own = int(scale.region[2]) * 1_000_000 + serial  # two scales, two ranges
    if draw < 0.98:
        return "港澳居民来往内地通行证", f"{'HM'[serial % 2]}{own:08}"
    if draw < 0.985:
        return "台湾居民来往大陆通行证", f"{own:08}"
    if draw < 0.995:
        return "护照", f"ZZ{own:07}"
    return "军官证", f"示字第{own:07}号"


def _name(rng: Random, *, is_male: bool) -> str:
    if rng.random() < 0.004:
        return rng.choice(_UNUSUAL)
    given = _MALE if is_male else _FEMALE
    second = rng.choice(given) if rng.random() < 0.75 else ""
    return rng.choice(_SURNAMES) + rng.choice(given) + second


def _joined(rng: Random, unit: Unit, born: date, on: date) -> date:
    """Most join with others: when their union is founded, or at the turn of a half-year; some in the last weeks."""
    draw = rng.random()
    if draw < 0.05:
        return on - timedelta(days=rng.randrange(1, 30, 3))
    of_age = date(born.year + 19, 1, 1)
    if of_age <= unit.founded_on and draw < 0.6:
        return unit.founded_on
    first = max(of_age.year, unit.founded_on.year + 1)
    year = rng.randint(first, max(first, on.year - 1))
    return date(year, rng.choice((1, 7)) if year < on.year else 1, 1)
