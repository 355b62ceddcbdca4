"""Named places in product code where a test may let the process die, as `kill -9` would.

Off unless the environment names one: `UNIONHALL_CRASH_POINT=relay.after_send` dies there the first time,
`UNIONHALL_CRASH_POINT=relay.after_send:3` the third time.
"""

import os
from itertools import count

VARIABLE = "UNIONHALL_CRASH_POINT"
#: What a shell reports for a process that was killed by SIGKILL.
EXIT_CODE = 137

#: Every crash point with the state of the world there. A test holds product code and this table together.
CRASH_POINTS = {
    "web.before_commit": "the request's work is written, nothing is committed",
    "web.after_commit": "committed, no reply has left",
    "relay.before_send": "a batch of outbox rows is read, nothing is sent",
    "relay.after_send": "the broker has acknowledged the batch, the progress is not stored",
    "relay.before_progress": "a whole pass is acknowledged, its snapshot is not stored",
    "consumer.before_database": "a batch is polled, its transaction has not begun",
    "consumer.mid_batch": "the handler has run, the transaction is open",
    "consumer.after_database": "the transaction is committed, Kafka does not know the offsets",
    "job.mid_chunk": "a chunk of a job is written, nothing of it is committed",
    "roster.after_staging": "a roster is staged, its job is not marked so",
    "roster.mid_apply": "some chunks of a roster are applied",
    "payout.before_send": "a batch's lines are marked as handed over, nothing was sent to the bank",
    "payout.after_send": "the bank has answered for a batch, nothing of it is noted",
    "roster.before_done": "all chunks of a roster are applied, the import is not marked done",
}


def _armed() -> tuple[str, int] | None:
    text = os.environ.get(VARIABLE)
    if not text:
        return None
    name, _, hit = text.partition(":")
    if name not in CRASH_POINTS or not (hit or "1").isdigit():
        raise SystemExit(
            f"{VARIABLE}={text}: no such crash point; there are: {', '.join(sorted(CRASH_POINTS))}"
        )
    return name, int(hit or "1")


_ARMED = _armed()
_hits = count(1)


def crash_point(name: str) -> None:
    """End the process here, at once and without any cleaning up, if the environment asked for it. Costs nothing otherwise."""
    if _ARMED is not None and _ARMED[0] == name and next(_hits) == _ARMED[1]:
        os._exit(EXIT_CODE)
