"""I10: no resident identity number and no mobile phone number stands in a log, on a topic or in a dead letter."""

import re
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from sqlalchemy import text

from local_stack.layout import Layout
from shared.database.scope import Scope
from unionhall_cli.operations import events, services
from unionhall_cli.verify.finding import Finding

_DOCUMENT = re.compile(rb"(?<![0-9A-Za-z])[1-9]\d{16}[0-9Xx](?![0-9A-Za-z])")
#: Country code 86 or none; neither part of a longer number, a decimal fraction nor of a UUID.
_PHONE = re.compile(rb"(?<![0-9A-Za-z.\-])(?:86)?1[3-9]\d{9}(?![0-9A-Za-z\-])")
#: GB 11643-1999: weights of the first 17 digits, and the check character of each remainder.
_WEIGHTS = [2 ** (17 - place) % 11 for place in range(17)]
_CHECK = b"10X98765432"
_LETTERS = text("SELECT id::text AS id, value, headers::text AS headers, cause FROM dead_letters")
_NAMED = 20


def leaks(content: bytes) -> list[str]:
    """Which kinds of numbers stand in `content`: "document", "phone". Never the numbers themselves."""
    found = []
    if any(_is_document(match.group()) for match in _DOCUMENT.finditer(content)):
        found.append("document")
    if _PHONE.search(content):
        found.append("phone")
    return found


def _is_document(number: bytes) -> bool:
    """A date of birth and the right check character tell an identity number from other 18 digits."""
    total = sum(
        weight * digit for weight, digit in zip(_WEIGHTS, (byte - 48 for byte in number[:17]), strict=True)
    )
    if _CHECK[total % 11] != number[17:18].upper()[0]:
        return False
    try:
        born = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    return 1880 < born.year < 2100


def plaintext_findings() -> Iterator[Finding]:
    """Logs, topics and dead letters, one finding each."""
    yield Finding.of("I10", "logs", _first(_in_logs(Layout.default().logs)))
    yield Finding.of("I10", "topics", services.do(_in_topics()))
    yield Finding.of("I10", "dead letters", services.do(_in_dead_letters()))


def _first(found: Iterable[str]) -> list[str]:
    return [one for one, _ in zip(found, range(_NAMED), strict=False)]


def _in_logs(folder: Path) -> Iterator[str]:
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                for kind in leaks(line):
                    yield f"{path.name}:{number} {kind}"


async def _in_topics() -> list[str]:
    """Every record of every topic of ours, with key and headers."""
    found: list[str] = []
    places = await events.partitions(await _our_topics())
    async with events.reader() as kafka:
        kafka.assign(places)
        ends = await kafka.end_offsets(places)
        await kafka.seek_to_beginning(*places)
        async for record in events.records_until(kafka, ends):
            parts = [record.key or b"", *(value for _, value in record.headers), record.value or b""]
            for kind in leaks(b" ".join(parts)):
                found.append(f"{record.topic}[{record.partition}]@{record.offset} {kind}")
                if len(found) == _NAMED:
                    return found
    return found


async def _our_topics() -> list[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=services.running().kafka)
    await admin.start()
    try:
        return [name for name in await admin.list_topics() if name.startswith("unionhall.")]
    finally:
        await admin.close()


async def _in_dead_letters() -> list[str]:
    """Also those of unreadable records, whose contents nobody has checked."""
    found: list[str] = []
    for service in services.names():
        async with services.database(service) as database, database.read(Scope.everything()) as session:
            for row in await session.execute(_LETTERS):
                content = b" ".join([row.value or b"", row.headers.encode(), row.cause.encode()])
                found += [f"{service} {row.id} {kind}" for kind in leaks(content)]
    return found[:_NAMED]
