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
BUDGETS = Aggregate(
    "/api/v1/budgets",
    ("id", "name", "allocated_fen", "available_fen"),
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
        if not as_json:
            if page["next_cursor"]:
                say("more-than-limit", limit=limit)
            page = {
                "budget": page["budget"]["name"],
                **page["closing"],
                "entries": [
                    {name: entry[name] for name in ("on", "kind", "case_id", "reason", "entry_id")}
                    | {
                        "amount_fen": sum(
                            line["amount_fen"] for line in entry["lines"] if line["amount_fen"] > 0
                        )
                    }
                    | {"available_fen": entry["after"]["available_fen"]}
                    for entry in page["entries"]
                ],
            }
        show(page, as_json=as_json)


def _statement(api: Federation, address: str, limit: int) -> dict[str, Any]:
    """The first `limit` entries with the figures before and after them, page by page."""
    found: dict[str, Any] = api.get(address, limit=min(PAGE, limit))
    while found["next_cursor"] and len(found["entries"]) < limit:
        asked = min(PAGE, limit - len(found["entries"]))
        more = api.get(address, limit=asked, cursor=found["next_cursor"])
        found |= {"closing": more["closing"], "next_cursor": more["next_cursor"]}
        found["entries"] += more["entries"]
    return found


def _written(out: Path, size: int, *, as_json: bool) -> None:
    if as_json:
        show_json({"file": str(out.resolve()), "bytes": size})
    else:
        say("file-written", name=str(out), size=size)


def _this_year() -> int:
    return china_date(datetime.now(UTC)).year
