"""The units and employers of the demo federation: a province that does not exist, in a region that is assigned to nobody."""

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.resources import files
from random import Random
from typing import Final

from stdnum.cn import uscc

TOP_CODE = "99"
TOP_NAME = "示例省总工会"
TOP_FOUNDED = date(1990, 5, 1)

#: From `syllables.toml`: kind -> words.
SYLLABLES: Final[dict[str, list[str]]] = {
    kind: written.split()
    for kind, written in tomllib.loads(
        files(__package__).joinpath("syllables.toml").read_text("utf-8")
    ).items()
}
_CITIES = [first + last for last in "谷江湖山川" for first in "虚拟样例"]
_COUNTIES = [first + last for last in "泉原" for first in "甲乙丙丁戊己庚辛壬癸"]
_BRANDS = SYLLABLES["brands"]
_TRADES = SYLLABLES["trades"]
_OWNERSHIPS = ("private", "private", "private", "state", "foreign", "collective", "public_institution")


@dataclass(frozen=True)
class Scale:
    """How large the federation is. `region` keeps the made-up document numbers of two scales apart.

    `dossiers`, `cases` and `activities` are in the first city; `in_hardship` is the share of its members with a dossier.
    """

    name: str
    cities: int
    counties: int
    organisations: int
    members: int
    spoilt_rows: int
    region: str
    dossiers: int = 200
    cases: int = 400
    activities: int = 60
    in_hardship: float = 0.08

    @property
    def file_name(self) -> str:
        """Workbooks end at 100,000 rows; larger rosters are `.csv`."""
        return f"示例省总工会会员名册-{self.name}.{'xlsx' if self.members <= 50_000 else 'csv'}"


SMALL = Scale("small", 6, 6, 300, 20_000, 200, "990000")
LARGE = Scale("large", 20, 20, 20_000, 1_000_000, 2_000, "998000")
#: For a first look on a slow machine, and for tests.
TINY = Scale("tiny", 2, 2, 20, 300, 60, "997000", dossiers=24, cases=50, activities=20, in_hardship=0.25)
SCALES = {scale.name: scale for scale in (SMALL, LARGE, TINY)}

#: Unions of single employers at the start of each county's list; the others serve many small employers together.
BIG_UNIONS = 3


@dataclass(frozen=True, slots=True)
class Unit:
    """A union unit. `kind` is the word of the sheet; `weight` is its share of the members, 0 for a federation."""

    code: str
    name: str
    kind: str
    parent_code: str
    founded_on: date
    weight: float = 0.0


@dataclass(frozen=True, slots=True)
class Employer:
    """An employer of the register. `organisation_code` is empty where no union serves it."""

    credit_code: str
    name: str
    industry: str
    ownership: str
    headcount: int
    women: int
    migrant_workers: int
    dispatched_workers: int
    area_code: str
    organisation_code: str


def units(scale: Scale) -> list[Unit]:
    """All units below the province, parents first. A code means the same unit at every scale."""
    federations: list[Unit] = []
    areas: list[Unit] = []
    for city_number, city_name in enumerate(_CITIES[: scale.cities], 1):
        city = Unit(
            f"{TOP_CODE}{city_number:02}",
            f"{city_name}市总工会",
            "市级",
            TOP_CODE,
            TOP_FOUNDED + timedelta(days=365 + city_number),
        )
        federations.append(city)
        areas += [_area(city, city_name, number) for number in range(1, scale.counties + 1)]
    unions = scale.organisations - 1 - len(federations) - len(areas)
    return [*federations, *areas, *_unions(areas, unions)]


def employers(scale: Scale, unions: Sequence[Unit], members: dict[str, int], seed: int) -> list[Employer]:
    """One employer for every big union, and some whom no union serves. `members` says how many each union has."""
    rng = Random(f"{seed}-{scale.name}-employers")  # noqa: S311 - made-up data
    served = [unit for unit in unions if unit.kind == "企业"]
    found = []
    for number, unit in enumerate(served):
        name = unit.name.removesuffix("工会")
        heads = int(members[unit.code] * rng.uniform(1.1, 1.4)) + 3
        found.append(_employer(rng, number, name, heads, unit.parent_code, unit.code))
    for number in range(len(served) // 9):
        area = served[number * BIG_UNIONS % len(served)].parent_code
        name = f"{_BRANDS[number % len(_BRANDS)]}速递有限公司（{area}）"
        found.append(_employer(rng, len(served) + number, name, rng.randint(12, 90), area, ""))
    return found


def _area(city: Unit, city_name: str, number: int) -> Unit:
    county = _COUNTIES[number - 1]
    is_street = number % 6 == 0
    return Unit(
        f"{city.code}{number:02}",
        f"{city_name}市{county}{'街道' if is_street else '县'}总工会",
        "街道" if is_street else "县级",
        city.code,
        city.founded_on + timedelta(days=400 + number),
    )


def _unions(areas: Sequence[Unit], count: int) -> Iterator[Unit]:
    """`count` unions, dealt evenly to the areas; the first areas have one more where it does not come out even."""
    for position, area in enumerate(areas):
        place = area.name.removesuffix("总工会")
        here = count // len(areas) + (position < count % len(areas))
        spread = int(area.code)  # not the position: a code means the same unit at every scale
        for number in range(1, here + 1):
            is_big = number <= BIG_UNIONS
            brand = _BRANDS[(number * 7 + spread) % len(_BRANDS)]
            trade = _TRADES[(number + spread) % len(_TRADES)]
            named = f"{brand}{trade}有限公司工会" if is_big else f"{brand}{trade}小微企业联合工会"
            yield Unit(
                f"{area.code}{number:03}",
                place + named,
                "企业" if is_big else "联合",
                area.code,
                date(1995 + (3 * number + spread) % 12, 5, 1),
                _weight(number, spread, here),
            )


def _weight(number: int, spread: int, here: int) -> float:
    """Big unions hold about nine members of ten and differ among each other; the small ones share the rest."""
    return (
        40.0 + 25.0 * ((number * 5 + spread * 3) % 7) if number <= BIG_UNIONS else 35.0 / (here - BIG_UNIONS)
    )


def _employer(rng: Random, number: int, name: str, heads: int, area_code: str, union_code: str) -> Employer:
    first = f"91{TOP_CODE}0000{number:09}"
    return Employer(
        credit_code=first + uscc.calc_check_digit(first),
        name=name,
        industry=next((trade for trade in _TRADES if trade in name), "物流"),
        ownership=rng.choice(_OWNERSHIPS),
        headcount=heads,
        women=int(heads * rng.uniform(0.25, 0.6)),
        migrant_workers=int(heads * rng.uniform(0.05, 0.4)),
        dispatched_workers=int(heads * rng.uniform(0, 0.15)),
        area_code=area_code,
        organisation_code=union_code,
    )
