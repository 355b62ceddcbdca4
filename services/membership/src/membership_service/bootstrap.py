"""Writes the top of the tree and the first administrator, once: `python -m membership_service.bootstrap --help`.

Rights come from posts, and only an administrator grants posts: somebody has to be the first. This runs with the worker's
database role, on the machine of the operator, is audited, and refuses to run a second time.
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import Field, TypeAdapter, ValidationError

from membership_service.organisations import repository as organisations
from membership_service.organisations.domain import Organisation
from membership_service.organisations.schemas import Code, Name
from membership_service.organisations.use_cases import write_new
from membership_service.posts import use_cases as posts
from membership_service.posts.domain import Holder, Post, Term
from membership_service.posts.repository import any_administrator
from membership_service.posts.schemas import Subject
from membership_service.settings import Settings
from shared.contracts.membership import OrganisationKind, Role
from shared.database.engine import Database
from shared.database.reach import require_database
from shared.database.revisions import database_revision
from shared.database.scope import Scope
from shared.database.session import WriteSession
from shared.kernel.clock import SystemClock
from shared.kernel.errors import Conflict
from shared.kernel.ids import new_id
from shared.kernel.texts import register, text
from shared.security.acting import SYSTEM, By
from shared.settings import Issuer, load

#: The exit code that says that somebody is administrator already. 1 is any other trouble, 2 a wrong command line.
ALREADY: Final = 3
_TokenIssuer = Annotated[Issuer, Field(min_length=1, max_length=255)]


@dataclass(frozen=True, slots=True)
class Top:
    """The unit at the top of the tree; without a founding day it begins today."""

    code: str
    name: str
    kind: OrganisationKind
    founded_on: date | None = None


async def bootstrap_administrator(session: WriteSession, holder: Holder, top: Top, now: datetime) -> UUID:
    """Found the top unit if there is none and make `holder` its administrator; the unit's id.

    Raises Conflict("already-bootstrapped") if anybody was ever administrator of the top unit. The caller commits.
    """
    await organisations.lock_tree(session)
    by = By(SYSTEM, "bootstrap", now)
    root = await organisations.get_root(session)
    if root is None:
        root = Organisation.root(
            organisation_id=new_id(),
            numbered=await organisations.next_numbered(session, ""),
            code=top.code,
            name=top.name,
            kind=top.kind,
            founded_on=top.founded_on or by.today,
        )
        await write_new(session, [root], by)
    elif await any_administrator(session, root.id):
        raise Conflict("already-bootstrapped")
    post = Post.grant(
        post_id=new_id(),
        holder=holder,
        role=Role.ADMINISTRATOR,
        organisation_id=root.id,
        path=root.path,
        term=Term(by.today, None),
        by=by,
    )
    posts.write_new(session, post, by)
    return root.id


def _as(kind: Any) -> Callable[[str], str]:
    """A reader of the command line that is as strict as the API: what is written here is written once and for all."""
    adapter: TypeAdapter[str] = TypeAdapter(kind)

    def read(given: str) -> str:
        try:
            return adapter.validate_python(given)
        except ValidationError as wrong:
            raise argparse.ArgumentTypeError(wrong.errors()[0]["msg"]) from None

    return read


def _day(given: str) -> date:
    try:
        day = date.fromisoformat(given)
    except ValueError:
        raise argparse.ArgumentTypeError("expected a day like 1990-05-01") from None
    if day > By(SYSTEM, "bootstrap", SystemClock().now()).today:
        raise argparse.ArgumentTypeError("that day is still to come")
    return day


async def _run(url: str, holder: Holder, top: Top) -> UUID:
    await require_database(url, "worker_database_url")
    if await database_revision(url) is None:
        sys.exit("the database has no schema yet: run migrate first")
    database = Database(url, pool_size=1, application_name="membership-bootstrap")
    try:
        async with database.write(Scope.everything()) as session:
            root_id = await bootstrap_administrator(session, holder, top, SystemClock().now())
            await session.flush_events()
            await session.commit()
    finally:
        await database.close()
    return root_id


def main(argv: Sequence[str] | None = None) -> None:
    """Run once; print the id of the top unit. Exit code 3 if there is an administrator already."""
    parser = argparse.ArgumentParser(prog="membership_service.bootstrap", description=__doc__)
    parser.add_argument(
        "--issuer", required=True, type=_as(_TokenIssuer), help="issuer of the administrator's tokens"
    )
    parser.add_argument(
        "--subject", required=True, type=_as(Subject), help="the administrator's subject at the issuer"
    )
    parser.add_argument(
        "--organisation-name", required=True, type=_as(Name), help="name of the unit at the top"
    )
    parser.add_argument("--organisation-code", default="ROOT", type=_as(Code))
    parser.add_argument(
        "--organisation-kind",
        default=OrganisationKind.PROVINCIAL,
        type=OrganisationKind,
        choices=list(OrganisationKind),
    )
    parser.add_argument("--founded-on", type=_day, help="its founding day; today when left out")
    arguments = parser.parse_args(argv)
    register("membership_service")
    settings = load(Settings, "worker_database_url")
    holder = Holder(arguments.issuer, arguments.subject)
    top = Top(
        arguments.organisation_code,
        arguments.organisation_name,
        arguments.organisation_kind,
        arguments.founded_on,
    )
    try:
        root_id = asyncio.run(_run(settings.worker_database_url, holder, top))
    except Conflict as refusal:
        sys.stderr.write(f"{text(refusal.code, 'zh-CN')}\n{text(refusal.code, 'en')}\n")
        sys.exit(ALREADY)
    sys.stdout.write(f"{root_id}\n")


if __name__ == "__main__":
    main()
