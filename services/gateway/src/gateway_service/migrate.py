"""`python -m gateway_service.migrate [upgrade|check|current|downgrade REVISION]`: the schema of the gateway's database."""

import sys

from shared.database.migrations import run

if __name__ == "__main__":
    run("gateway_service", sys.argv[1:])
