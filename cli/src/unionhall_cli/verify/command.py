"""`unionhall verify`: whether all that must hold does hold."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from shared.kernel import texts
from unionhall_cli.operations import services
from unionhall_cli.options import Json
from unionhall_cli.output import both, complaints, say, show_json, show_table, words
from unionhall_cli.verify.digests import digest_findings
from unionhall_cli.verify.finding import Finding, Verdict
from unionhall_cli.verify.plaintext import plaintext_findings
from unionhall_cli.verify.programs import audit_findings, database_findings, view_finding


def verify(
    skip_rebuild: Annotated[
        bool,
        typer.Option(
            "--skip-rebuild", help=both("不重建视图（跳过 I7）", "do not rebuild the view (leaves out I7)")
        ),
    ] = False,
    user: Annotated[
        str, typer.Option("--user", "-u", help=both("能看到全部组织的用户", "a user who sees all units"))
    ] = "administrator",
    as_json: Json = False,
) -> None:
    """Exit code 1 on a breach."""
    services.running()
    steps: list[Callable[[], Iterator[Finding]]] = [
        lambda: digest_findings(user),
        database_findings,
        audit_findings,
    ]
    if not skip_rebuild:
        steps.append(lambda: iter([view_finding(quiet=True)]))
    steps.append(plaintext_findings)
    findings: list[Finding] = []
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=complaints, transient=True, disable=as_json) as progress:
        task = progress.add_task(words("verifying", done=0))
        for step in steps:
            for finding in step():
                findings.append(finding)
                progress.update(task, description=words("verifying", done=len(findings)))
    findings.sort(key=lambda finding: (int(finding.id[1:]), finding.what))
    breaches = sum(finding.verdict is Verdict.BREACH for finding in findings)
    if as_json:
        show_json({"ok": not breaches, "findings": [_document(finding) for finding in findings]})
    else:
        _show(findings, breaches)
    if breaches:
        raise typer.Exit(1)


def _document(finding: Finding) -> dict[str, Any]:
    code = f"verify-{finding.id.lower()}"
    return asdict(finding) | {"zh": texts.text(code, "zh-CN"), "en": texts.text(code, "en")}


def _show(findings: list[Finding], breaches: int) -> None:
    marks = {
        Verdict.OK: "[green]✓[/green]",
        Verdict.BREACH: "[red]✗[/red]",
        Verdict.SKIPPED: "[yellow]–[/yellow]",
    }
    rows = [
        (
            finding.id,
            f"{marks[finding.verdict]} {words(f'verdict-{finding.verdict}')}",
            finding.what,
            "\n".join(finding.found) or None,
        )
        for finding in findings
    ]
    show_table(["column-invariant", "column-verdict", "column-where", "column-found"], rows)
    for code in dict.fromkeys(
        finding.id.lower() for finding in findings if finding.verdict is not Verdict.OK
    ):
        say(f"verify-{code}")
    say("verify-breached" if breaches else "verify-clean", count=breaches)
