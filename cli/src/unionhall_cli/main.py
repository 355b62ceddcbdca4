"""The command `unionhall`: composition root of all its verbs."""

import asyncpg
import httpx
import typer
from aiokafka.errors import KafkaError
from sqlalchemy.exc import SQLAlchemyError
from typer.core import TyperGroup

from local_stack.processes import LocalStackError
from shared.kernel import texts
from unionhall_cli import admin, lottery, roster, stack
from unionhall_cli.demo import command as demo
from unionhall_cli.office import activities, budgets, cases, dossiers, payouts
from unionhall_cli.operations import dead_letters, events, outbox, projection
from unionhall_cli.output import both, give_up, give_up_with, words
from unionhall_cli.verify import command as verify

for package in ("local_stack", "unionhall_cli"):
    texts.register(package)


class Verbs(TyperGroup):
    """Turns what the machine refuses into one sentence: an operator never reads a traceback for a server that is down."""

    def invoke(self, ctx: typer.Context) -> object:  # type: ignore[override]  # typer's own Context
        """Run the verb."""
        try:
            return super().invoke(ctx)
        except LocalStackError as problem:
            # Once: it may hold the end of a log.
            sentence = words(problem.code, **problem.params)
            give_up_with(sentence, sentence)
        except httpx.HTTPError as problem:
            give_up("gateway-silent", url=_address(problem))
        except (KafkaError, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError) as problem:
            give_up(
                "server-refuses", reason=f"{type(problem).__name__}: {str(problem).splitlines()[0][:300]}"
            )
        except OSError as problem:
            sentence = f"{problem.strerror or problem}{f': {problem.filename}' if problem.filename else ''}"
            give_up_with(sentence, sentence)


def _address(problem: httpx.HTTPError) -> str:
    try:
        return str(problem.request.url.copy_with(path="/", query=None))
    except RuntimeError:
        return "?"


app = typer.Typer(
    cls=Verbs,
    help=both("职工之家运维命令", "The operator's command of Unionhall"),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
stack.register(app)
app.command("demo", help=demo.HELP)(demo.demo)
app.add_typer(roster.app, name="roster")
app.add_typer(dossiers.app, name="dossier")
app.add_typer(cases.app, name="case")
app.add_typer(budgets.app, name="budget")
app.add_typer(payouts.app, name="payout")
app.add_typer(activities.app, name="activity")
app.add_typer(lottery.app, name="lottery")
app.add_typer(events.app, name="event")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(projection.app, name="projection")
app.add_typer(outbox.app, name="outbox")
app.add_typer(admin.app, name="admin")
app.command(help=both("核对不变式：事件、视图、审计、隐私", "Check that all that must hold does hold"))(
    verify.verify
)

if __name__ == "__main__":
    app()
