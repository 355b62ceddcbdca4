"""What must hold in welfare's database: `python -m welfare_service.invariants` (see shared.web.invariants)."""

import sys
from typing import Final

from shared.web.invariants import Invariant, run

INVARIANTS: Final[tuple[Invariant, ...]] = ()

if __name__ == "__main__":
    sys.exit(run(INVARIANTS))
