"""`unionhall admin bootstrap`: the top of the tree and the first administrator, once."""

from typing import Annotated

import typer

from local_stack.users import demo_user
from unionhall_cli.operations import services
from unionhall_cli.options import Json, group
from unionhall_cli.output import both, give_up, give_up_with, say, show_json

app = group("管理", "Administration")


@app.callback()
def admin() -> None:
    """Keeps `bootstrap` a word of its own, though it is the only one."""


@app.command(
    help=both(
        "建立最上级组织和第一个管理员（只能一次）", "Found the top unit and its first administrator, once"
    )
)
def bootstrap(
    organisation_name: Annotated[
        str, typer.Option("--organisation-name", help=both("最上级组织名称", "name of the top unit"))
    ],
    organisation_code: Annotated[
        str, typer.Option("--organisation-code", help=both("最上级组织编码", "code of the top unit"))
    ] = "ROOT",
    organisation_kind: Annotated[
        str, typer.Option("--organisation-kind", help=both("最上级组织类型", "kind of the top unit"))
    ] = "provincial",
    user: Annotated[
        str, typer.Option("--user", "-u", help=both("演示用户名", "a demo user"))
    ] = "administrator",
    subject: Annotated[
        str | None,
        typer.Option(
            "--subject",
            help=both("不用演示用户时：身份提供方的 sub", "the provider's subject, if no demo user"),
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Audited. Refused when anybody was ever administrator."""
    root = first_administrator(
        organisation_name, organisation_code, organisation_kind, user=user, subject=subject
    )
    if as_json:
        show_json({"organisation_id": root})
    else:
        say("bootstrapped", id=root)


def first_administrator(
    name: str, code: str, kind: str = "provincial", *, user: str = "administrator", subject: str | None = None
) -> str:
    """Run the service's own program; the id of the top unit. Ends the command if there is an administrator already."""
    found = services.running()
    if subject is None:
        known = demo_user(user)
        if known is None:
            give_up("no-such-user", user=user)
        subject = known.subject
    ran = services.program(
        "membership", "membership_service.bootstrap", "--issuer", found.issuer, "--subject", subject,
        "--organisation-name", name, "--organisation-code", code, "--organisation-kind", kind,
    )  # fmt: skip
    said, complaint = ran.communicate()
    if ran.returncode:
        chinese, _, english = complaint.strip().partition("\n")
        give_up_with(chinese, english or chinese)
    return said.strip()
