"""`python -m membership_service.migrate [upgrade|check|current|downgrade REVISION]`: the schema of the membership database."""

import sys

from shared.database.migrations import run

if __name__ == "__main__":
    run("membership_service", sys.argv[1:])
