from datetime import UTC, datetime, timedelta
from typing import Any

from icalendar import Calendar

from events_service.activities.plan import Session
from events_service.calendars.domain import Place, calendar, entity_tag
from shared.kernel.ids import new_id

START = datetime(2026, 3, 16, 1, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
NASTY = "健步走, 第一届; \\ 备注\r\nEND:VEVENT\r\nBEGIN:VALARM\nX:" + "长" * 60
PLACE = Place(
    registration_id=new_id(),
    is_confirmed=True,
    title=NASTY,
    description="两行\n说明",
    place="滨江公园",
    sessions=(Session(START, START + HOUR), Session(START + 24 * HOUR, START + 25 * HOUR, "体育馆")),
    sequence=7,
    stamp=START - HOUR,
)


def entries(feed: bytes) -> list[Any]:
    return list(Calendar.from_ical(feed).walk("VEVENT"))


def test_each_session_is_an_entry_with_an_id_of_its_own() -> None:
    first, second = entries(calendar([PLACE]))
    assert first["UID"] == f"{PLACE.registration_id}-1@unionhall"
    assert second["UID"] == f"{PLACE.registration_id}-2@unionhall"
    assert (first["LOCATION"], second["LOCATION"]) == ("滨江公园", "体育馆")
    assert first["DTSTART"].dt == START
    assert first["DTEND"].dt == START + HOUR
    assert (first["STATUS"], first["SEQUENCE"], first["DTSTAMP"].dt) == ("CONFIRMED", 7, START - HOUR)


def test_words_stay_words_whatever_is_in_them() -> None:
    feed = calendar([PLACE])
    parsed = Calendar.from_ical(feed)
    assert [part.name for part in parsed.walk()] == ["VCALENDAR", "VEVENT", "VEVENT"]
    assert entries(feed)[0]["SUMMARY"] == NASTY.replace("\r\n", "\n")
    assert all(len(line) <= 75 for line in feed.split(b"\r\n"))


def test_a_place_that_was_given_up_is_struck_out_under_the_same_id() -> None:
    [kept, *_] = entries(calendar([PLACE]))
    [gone, *_] = entries(calendar([PLACE._replace(is_confirmed=False, sequence=8)]))
    assert gone["UID"] == kept["UID"]
    assert (gone["STATUS"], gone["SEQUENCE"]) == ("CANCELLED", 8)


def test_the_tag_changes_with_the_feed_and_only_then() -> None:
    assert entity_tag(calendar([PLACE])) == entity_tag(calendar([PLACE]))
    assert entity_tag(calendar([PLACE])) != entity_tag(calendar([PLACE._replace(sequence=8)]))


def test_a_feed_of_nothing_is_a_calendar_all_the_same() -> None:
    assert entries(calendar([])) == []
