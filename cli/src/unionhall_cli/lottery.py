"""`unionhall lottery draw | verify`. To verify is to draw again and compare, with nothing but what is public and this file.

It shares no code with the service that drew: whoever doubts a draw need not trust the drawer's programme.
"""

import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from uuid import UUID

import typer

from unionhall_cli.federation import federation
from unionhall_cli.options import Json, Out, User, group
from unionhall_cli.output import both, give_up, say, show_document, show_json, words

REGISTRAR = "registrar-province"
ORGANISER = "organiser"
#: What a verification needs of a lottery.
_PUBLISHED = ("activity_id", "commitment", "entries", "entries_digest", "seats", "seed", "drawn_at")

app = group("抽签", "Lotteries")


class Entry(NamedTuple):
    """A published entry: from which pool it drew, at which rank, with which result ("confirmed" or "waiting")."""

    id: UUID
    pool: int
    rank: int
    result: str


class Difference(NamedTuple):
    """Something published that the draw does not give; `code` names its text."""

    code: str
    params: dict[str, str | int]


@app.command(help=both("抽签（报名截止后，只抽一次）", "Draw the lots, once, when registration is closed"))
def draw(
    activity: Annotated[UUID, typer.Argument(help=both("活动编号", "id of the activity"))],
    user: User = ORGANISER,
    as_json: Json = False,
) -> None:
    """The seed is public from here on."""
    with federation(user) as api:
        drawn = api.post(f"/api/v1/activities/{activity}/lottery/draw")
    show_json(drawn) if as_json else show_document(drawn)


@app.command(
    help=both("重新抽签并与公布的结果核对", "Draw the lots again and compare with what was published")
)
def verify(
    activity: Annotated[
        UUID | None, typer.Argument(help=both("活动编号", "id of the activity"), show_default=False)
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            "-f",
            exists=True,
            dir_okay=False,
            help=both("离线核对已保存的文件", "a file that was saved"),
        ),
    ] = None,
    out: Out = None,
    user: User = REGISTRAR,
    as_json: Json = False,
) -> None:
    """Exit code 1 if anything differs. --out keeps what was published, to verify it elsewhere with --file."""
    if (activity is None) == (file is None):
        give_up("lottery-verify-what")
    if file is not None:
        published, entries = _read(file)
    else:
        published, entries = _ask(user, activity)
    if not published.get("drawn_at"):
        give_up("lottery-not-drawn-yet")
    if out is not None:
        out.write_text(json.dumps({"lottery": published, "entries": entries}, default=str), "utf-8")
    found = list(differences(published, entries))
    if as_json:
        show_json(
            {
                "activity_id": published["activity_id"],
                "entries": len(entries),
                "verified": not found,
                "differences": [
                    {"code": one.code, "text": words(one.code, **one.params), **one.params} for one in found
                ],
            }
        )
    else:
        for one in found:
            say(one.code, **one.params)
        if not found:
            say("lottery-verified", entries=len(entries), commitment=published["commitment"])
    if found:
        raise typer.Exit(1)


def differences(published: dict[str, Any], entries: Sequence[Entry]) -> Iterator[Difference]:
    """What of a published draw is not as it must be, by the rules of docs/runbooks/lottery.md."""
    seed, seats = bytes.fromhex(published["seed"]), published["seats"]
    if hashlib.sha256(seed).hexdigest() != published["commitment"]:
        yield Difference("lottery-seed-differs", {})
    ids = sorted(one.id.bytes for one in entries)
    if len(set(ids)) != published["entries"] or len(ids) != len(set(ids)):
        yield Difference("lottery-count-differs", {"published": published["entries"], "found": len(set(ids))})
    digest = hashlib.sha256(b"".join(ids)).digest()
    if digest.hex() != published["entries_digest"]:
        yield Difference("lottery-digest-differs", {})
    # From here on by the published digest: one wrong entry is not to look like a wrong order of all.
    key = hashlib.sha256(seed + bytes.fromhex(published["entries_digest"])).digest()
    drawn = sorted(entries, key=lambda one: hashlib.sha256(key + one.id.bytes).digest())
    left = list(seats)
    misplaced: list[Entry] = []
    changed: list[Entry] = []
    for rank, one in enumerate(drawn, 1):
        if one.rank != rank:
            misplaced.append(one)
        if not 0 <= one.pool < len(left):
            changed.append(one)
            continue
        left[one.pool] -= 1
        if one.result != ("confirmed" if left[one.pool] >= 0 else "waiting"):
            changed.append(one)
    if misplaced:
        yield Difference("lottery-order-differs", {"count": len(misplaced), "first": str(misplaced[0].id)})
    if changed:
        yield Difference("lottery-result-differs", {"count": len(changed), "first": str(changed[0].id)})


def _ask(user: str, activity: UUID | None) -> tuple[dict[str, Any], list[Entry]]:
    path = f"/api/v1/activities/{activity}/lottery"
    with federation(user) as api:
        published = api.get(path)
        if not published["drawn_at"]:
            return published, []
        lines = csv.reader(api.send("GET", f"{path}/entries.csv").text.splitlines()[1:])
        return published, [_entry(*line) for line in lines]


def _read(file: Path) -> tuple[dict[str, Any], list[Entry]]:
    try:
        saved = json.loads(file.read_text("utf-8"))
        published = {name: saved["lottery"][name] for name in _PUBLISHED}
        return published, [_entry(*one) for one in saved["entries"]]
    except (ValueError, KeyError, TypeError):
        give_up("lottery-file-unreadable", name=str(file))


def _entry(registration_id: str, pool: str | int, rank: str | int, result: str) -> Entry:
    return Entry(UUID(registration_id), int(pool), int(rank), result)
