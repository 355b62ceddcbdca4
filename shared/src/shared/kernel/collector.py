"""How a long-running process has its cyclic garbage collected."""

import gc
from typing import Final

#: New objects that may be cyclic between two looks at them. Python's 700 is for programs that begin with nothing; a batch of
#: events or a request in hand would be looked through again and again, a fifth of all the time of a consumer.
YOUNG: Final = 50_000


def settle() -> None:
    """Call once everything is loaded: it lives as long as the process and is never looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG)
