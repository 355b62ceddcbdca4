"""Invariants that a service's own programs look at: in its database, in its audit chain, in its views."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from local_stack.layout import Layout
from unionhall_cli.operations import services
from unionhall_cli.operations.projection import rebuilt
from unionhall_cli.output import words
from unionhall_cli.verify.finding import Finding, Verdict

#: The chainer runs every few seconds: entries that wait longer are not being linked.
_TAIL = timedelta(seconds=60)
_TRIES = 3


def database_findings() -> Iterator[Finding]:
    """I2, I6, I9, I12: each service asks its own database."""
    ran = {name: services.program(name, f"{name}_service.invariants") for name in services.names()}
    for name, process in ran.items():
        said, complaint = process.communicate()
        if process.returncode not in {0, 1} or not said:
            yield _unable("I6", name, complaint)
            continue
        for found in json.loads(said):
            yield Finding.of(found["id"], f"{name}: {found['what']}", found["offenders"])


def audit_findings() -> Iterator[Finding]:
    """I8: the chain holds up to the head that was kept outside of the database the last time."""
    ran = {}
    for name in services.names():
        anchor = Layout.default().root / f"audit-{name}.json"
        arguments = ["--save", str(anchor), *(["--anchor", str(anchor)] if anchor.exists() else [])]
        ran[name] = services.program(name, "shared.security.verify_audit", *arguments)
    for name, process in ran.items():
        said, complaint = process.communicate()
        if process.returncode not in {0, 1} or not said:
            yield _unable("I8", name, complaint)
            continue
        report = json.loads(said)
        offenders = [] if report["valid"] else [f"{report['first_broken']}: {report['reason']}"]
        oldest = report["oldest_in_tail"]
        if oldest and datetime.now(UTC) - datetime.fromisoformat(oldest) > _TAIL:
            offenders.append(words("verify-unlinked", count=report["tail"]))
        yield Finding.of("I8", name, offenders)


def view_finding(*, quiet: bool) -> Finding:
    """I7: the dashboard, rebuilt from the facts, equals the one that was live. Skipped if events keep coming."""
    for _ in range(_TRIES):
        last = rebuilt(quiet=quiet)
        if last["state"] != "done":
            return Finding(
                "I7", "gateway: dashboard", Verdict.BREACH, [words("not-rebuilt", state=str(last["state"]))]
            )
        if last["same"] is not None:
            differs = [] if last["same"] else [f"{last['before']} ≠ {last['fingerprint']}"]
            return Finding.of("I7", "gateway: dashboard", differs)
    return Finding("I7", "gateway: dashboard", Verdict.SKIPPED, [words("verify-busy")])


def _unable(invariant: str, what: str, complaint: str) -> Finding:
    """A check that cannot run proves nothing: that counts as a breach."""
    return Finding(invariant, what, Verdict.BREACH, complaint.strip().splitlines()[-1:] or ["?"])
