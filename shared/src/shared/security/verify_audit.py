"""`python -m shared.security.verify_audit [--anchor FILE] [--save FILE]`: check a service's audit chain (invariant I8).

Reads UNIONHALL_WORKER_DATABASE_URL and UNIONHALL_KEYS_FILE, prints one JSON report and ends with 1 if the chain is broken.
`--anchor` gives back a head that was kept outside of the database; `--save` keeps today's. Without an anchor a chain whose end
was cut off cannot be told from a shorter one.
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from shared.database.engine import Database
from shared.database.scope import Scope
from shared.security.chain import ChainHead, ChainReport, verify_chain
from shared.security.keys import KeyRing
from shared.settings import ServiceSettings, load


def reported(report: ChainReport) -> dict[str, Any]:
    """A report as JSON."""
    return {
        "valid": report.valid,
        "links": report.links,
        "first_broken": report.first_broken,
        "reason": report.reason,
        "tail": report.tail,
        "oldest_in_tail": report.oldest_in_tail.isoformat() if report.oldest_in_tail else None,
        "head": report.head.exported() if report.head else None,
    }


async def check(settings: ServiceSettings, anchors: list[ChainHead]) -> ChainReport:
    """Verify the chain of the database that the settings name."""
    ring = KeyRing.load(settings.keys_file)
    database = Database(settings.worker_database_url, pool_size=1, application_name="verify-audit")
    try:
        async with database.read(Scope.everything()) as session:
            return await verify_chain(session, ring, anchors)
    finally:
        await database.close()


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0 when the chain holds."""
    parser = argparse.ArgumentParser(prog="python -m shared.security.verify_audit", description=__doc__)
    parser.add_argument("--anchor", type=Path, help="a head kept earlier, as --save wrote it")
    parser.add_argument("--save", type=Path, help="where to keep today's head, if the chain holds")
    options = parser.parse_args(arguments)
    settings = load(ServiceSettings, "worker_database_url", "keys_file")
    anchors = [ChainHead.imported(json.loads(options.anchor.read_text("utf-8")))] if options.anchor else []
    report = asyncio.run(check(settings, anchors))
    sys.stdout.write(json.dumps(reported(report)) + "\n")
    if report.valid and report.head and options.save:
        options.save.write_text(json.dumps(report.head.exported()) + "\n", "utf-8")
    return 0 if report.valid else 1


if __name__ == "__main__":
    sys.exit(main())
