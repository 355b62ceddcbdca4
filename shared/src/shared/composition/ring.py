"""The key ring of a process that starts."""

import sys

from shared.security.keys import KeyProblem, KeyRing
from shared.settings import ServiceSettings


def key_ring(settings: ServiceSettings) -> KeyRing:
    """The keys. Ends the process at once, naming the variable and what is wrong, if they cannot be used."""
    try:
        return KeyRing.load(settings.keys_file)
    except KeyProblem as problem:
        sys.exit(f"UNIONHALL_KEYS_FILE ({settings.keys_file}): {problem}")
