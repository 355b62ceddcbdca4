"""The words of docs/architecture.md §1: one thing, one word, in code, comments, documentation and texts."""

import re
from collections.abc import Iterable

from tests.architecture.sources import Breach, Source, own_files, report

#: Banned single words (also as parts of names: booking_id, CompanyName) -> what to say.
WORDS = {
    "booking": "registration",
    "bookings": "registration",
    "company": "organisation (the union unit) or enterprise (the employer)",
    "companies": "organisation (the union unit) or enterprise (the employer)",
    "ticket": "aid case",
    "tickets": "aid case",
    "poller": "relay",
    "dlq": "dead letter",
    "organization": "organisation",
    "organizations": "organisation",
}

#: Banned phrases -> what to say.
PHRASES = {
    r"\bmembership rows?\b": "affiliation",
    r"\bhardship cases?\b": "dossier",
    r"\bdead[- ]letter queues?\b": "dead letters",
    r"\boutbox (?:queue|store)\b": "outbox",
    r"\bmessage (?:queue|bus)\b": "Kafka",
    # People attend activities.
    r"\b(?:attend|attends|attending|sign up for|register for|take part in) (?:an?|the|this|that|each) event\b": "activity",
    r"\bevent (?:attendees?|participants?|venues?|seats?|organisers?|registrations?)\b": "activity",
    # The deployable that owns activities is always two words.
    r"\b(?:the|in|by|of|from) events(?: and|,|) (?:database|deployment|container|image|process(?:es)?|pod|owns|answers)\b": (
        "events service"
    ),
    r"\b(?:gateway|membership|welfare|shared) and events\b(?! service)": "events service",
}

#: Path -> word -> why it stands there: names that others gave.
ALLOWED: dict[str, dict[str, str]] = {
    "services/membership/src/membership_service/rosters/columns.py": {
        "organization": "a header as people write it"
    },
}

TEXT = (".py", ".md", ".toml", ".yml", ".yaml", ".html", ".js", ".ts", ".css", ".json", ".mako", ".ini")
#: These name the banned words in order to ban them.
SELF = ("tests/architecture/test_words.py", "docs/architecture.md", "docs/glossary.md")

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_PHRASES = [(re.compile(pattern, re.IGNORECASE), say) for pattern, say in PHRASES.items()]


def word_breaches(sources: Iterable[Source]) -> list[Breach]:
    """Every line that uses a banned word or phrase."""
    breaches = []
    for source in sources:
        if not source.path.endswith(TEXT) or source.path in SELF:
            continue
        allowed = ALLOWED.get(source.path, {})
        for number, line in enumerate(source.text.splitlines(), 1):
            found = {word.lower() for word in _WORD.findall(line)} & WORDS.keys() - allowed.keys()
            breaches += [
                Breach(source.path, number, f"say {WORDS[word]}, not {word}") for word in sorted(found)
            ]
            breaches += [
                Breach(source.path, number, f"say {say}, not {match.group()!r}")
                for pattern, say in _PHRASES
                if (match := pattern.search(line))
            ]
    return breaches


def test_one_thing_has_one_word() -> None:
    breaches = word_breaches(own_files())
    assert not breaches, report(breaches)


def test_no_allowance_is_left_over() -> None:
    texts = {source.path: source.text.lower() for source in own_files()}
    unused = [
        (path, word) for path, words in ALLOWED.items() for word in words if word not in texts.get(path, "")
    ]
    assert not unused


PLANTED = """booking_id: UUID
class CompanyName: ...
# Opens a ticket
a membership row is added
Members attend an event
the dead-letter queue
membership and events publish
organizationName
"""


def test_planted_words_are_noticed() -> None:
    assert [breach.line for breach in word_breaches([Source("a.py", PLANTED)])] == list(range(1, 9))


def test_right_words_are_left_alone() -> None:
    text = "registration_id accompanying the membership and events service; events of members, dead letters, organisation"
    assert not word_breaches([Source("a.md", text)])
