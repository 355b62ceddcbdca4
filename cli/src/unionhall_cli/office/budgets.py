"""`unionhall budget …`: budgets of units and their statements."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from shared.kernel.clock import china_date
from unionhall_cli.federation import Federation
from unionhall_cli.office.aggregate import Aggregate, Id, Limit, Unit, fen_of, place, show, signed_in
from unionhall_cli.options import Json, Out, User, group
from unionhall_cli.output import both, say, show_json
from unionhall_cli.roster import unit_id

TREASURER = "treasurer"
#: Entries of a statement that are shown at once; a CSV has all.
MOST_ENTRIES, PAGE = 10_000, 200
#: What a statement says of its budget: the figures after its last entry, however many are shown.
FIGURES = ("name", "allocated_fen", "reserved_fen", "paid_fen", "available_fen")
BUDGETS = Aggregate(
    "/api/v1/budgets",
    ("id", "name", "allocated_fen", "reserved_fen", "paid_fen", "available_fen"),
)

app = group("帮扶资金预算", "Budgets of aid money")

Money = Annotated[str, typer.Option("--amount", help=both("金额（元）", "amount in yuan"))]
Year = Annotated[int | None, typer.Option(help=both("年度，默认今年", "the year; default: this one"))]


@app.command("list", help=both("列出预算和余额", "List budgets and what is left of them"))
def list_budgets(
    unit: Unit = None, year: Year = None, limit: Limit = 50, user: User = TREASURER, as_json: Json = False
) -> None:
    """From the top down."""
    with signed_in(user) as api:
        where = place(api, unit)
        BUDGETS.show_list(api, limit, as_json=as_json, organisation=where, year=year or _this_year())


@app.command("show", help=both("查看一项预算", "One budget"))
def show_budget(found: Id, user: User = TREASURER, as_json: Json = False) -> None:
    """Its figures now."""
    with signed_in(user) as api:
        show(BUDGETS.read(api, found), as_json=as_json)


@app.command(help=both("设立预算", "Set up a budget"))
def create(
    name: Annotated[str, typer.Option(help=both("名称", "its name"))],
    amount: Money,
    unit: Unit = None,
    year: Year = None,
    source: Annotated[
        str, typer.Option(help=both("来源：own、government、donation", "own, government or donation"))
    ] = "own",
    user: User = TREASURER,
    as_json: Json = False,
) -> None:
    """With the money that came in."""
    with signed_in(user) as api:
        body = {
            "organisation_id": unit_id(api, unit), "year": year or _this_year(), "source": source, "name": name,
            "amount_fen": fen_of(amount),
        }  # fmt: skip
        show(api.post(BUDGETS.address, body), as_json=as_json)


@app.command(help=both("下拨给下级组织", "Hand money down to a lower unit"))
def allocate(
    found: Id,
    to: Annotated[str, typer.Option("--to", help=both("下级组织编码", "code of the lower unit"))],
    amount: Money,
    reason: Annotated[str | None, typer.Option(help=both("用途", "what for"))] = None,
    user: User = TREASURER,
    as_json: Json = False,
) -> None:
    """Shows the lower unit's budget."""
    with signed_in(user) as api:
        body = {"organisation_id": unit_id(api, to), "amount_fen": fen_of(amount), "reason": reason}
        show(api.post(f"{BUDGETS.address}/{found}/allocations", body), as_json=as_json)


@app.command(help=both("登记收入", "Enter money that came in from outside"))
def receive(
    found: Id,
    amount: Money,
    reason: Annotated[str, typer.Option(help=both("来源说明", "where it came from"))],
    user: User = TREASURER,
    as_json: Json = False,
) -> None:
    """Shows the budget after it."""
    with signed_in(user) as api:
        body = {"amount_fen": fen_of(amount), "reason": reason}
        show(api.post(f"{BUDGETS.address}/{found}/income", body), as_json=as_json)


@app.command(help=both("冲销一笔分录", "Take an entry back by another one"))
def reverse(
    found: Id,
    entry: Annotated[
        UUID, typer.Argument(help=both("分录编号（见 statement）", "id of the entry, as statement has it"))
    ],
    reason: Annotated[str, typer.Option(help=both("原因", "why"))],
    user: User = TREASURER,
    as_json: Json = False,
) -> None:
    """Income, an allocation, or a payment whose money came back."""
    with signed_in(user) as api:
        address = f"{BUDGETS.address}/{found}/entries/{entry}/reversal"
        show(api.post(address, {"reason": reason}), as_json=as_json)


@app.command(help=both("资金明细账（可存为 CSV）", "The statement, entry by entry; as CSV with --out"))
def statement(
    found: Id, limit: Limit = MOST_ENTRIES, out: Out = None, user: User = TREASURER, as_json: Json = False
) -> None:
    """Oldest entry first."""
    address = f"{BUDGETS.address}/{found}/statement"
    with signed_in(user) as api:
        if out is not None:
            content = api.send("GET", f"{address}.csv").content
            out.write_bytes(content)
            _written(out, len(content), as_json=as_json)
            return
        page = _statement(api, address, limit)
        if as_json:
            show_json(page)
            return
        budget, entries = page["budget"], page["entries"]
        show(
            {name: budget[name] for name in FIGURES} | {"entries": [_entry(one) for one in entries]},
            as_json=False,
        )
        if page["next_cursor"]:
            say("statement-cut", shown=len(entries), entries=budget["version"])


def _entry(entry: dict[str, Any]) -> dict[str, Any]:
    """A line of the statement for people: what moved, and what was available afterwards."""
    return {name: entry[name] for name in ("on", "kind", "case_id", "reason", "entry_id")} | {
        "amount_fen": _moved(entry["lines"]), "available_fen": entry["after"]["available_fen"],
    }  # fmt: skip


def _moved(lines: list[dict[str, Any]]) -> int:
    """What came to the budget (negative: left it); of what only moved within it, how much."""
    gained: int = sum(line["amount_fen"] for line in lines if line["account"] != "outside")
    return gained or sum(line["amount_fen"] for line in lines if line["amount_fen"] > 0)


def _statement(api: Federation, address: str, limit: int) -> dict[str, Any]:
    """The first `limit` entries with the figures before and after them, page by page; and the budget as it stands."""
    found: dict[str, Any] = api.get(address, limit=min(PAGE, limit))
    while found["next_cursor"] and len(found["entries"]) < limit:
        asked = min(PAGE, limit - len(found["entries"]))
        more = api.get(address, limit=asked, cursor=found["next_cursor"])
        found |= {name: more[name] for name in ("budget", "closing", "next_cursor")}
        found["entries"] += more["entries"]
    return found


def _written(out: Path, size: int, *, as_json: bool) -> None:
    if as_json:
        show_json({"file": str(out.resolve()), "bytes": size})
    else:
        say("file-written", name=str(out), size=size)


def _this_year() -> int:
    return china_date(datetime.now(UTC)).year
