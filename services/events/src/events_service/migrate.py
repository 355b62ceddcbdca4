"""`python -m events_service.migrate [upgrade|check|current|downgrade REVISION]`: the schema of its database."""

import sys

from shared.database.migrations import run

if __name__ == "__main__":
    run("events_service", sys.argv[1:])
