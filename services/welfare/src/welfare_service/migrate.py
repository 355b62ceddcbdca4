"""`python -m welfare_service.migrate [upgrade|check|current|downgrade REVISION]`: the schema of the welfare database."""

import sys

from shared.database.migrations import run

if __name__ == "__main__":
    run("welfare_service", sys.argv[1:])
