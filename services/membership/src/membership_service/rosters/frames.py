"""What child and parent say to each other: one byte of kind, four of length, the content. Tasks go in, results come out."""

from dataclasses import asdict, dataclass
from datetime import date
from enum import Enum
from typing import Any, BinaryIO, Final, Self
from uuid import UUID

import orjson

HEAD_BYTES: Final = 5
#: Rows of one COPY and one transaction.
CHUNK_ROWS: Final = 10_000


class Kind(bytes, Enum):
    """What a frame holds."""

    ROWS = b"R"  # COPY bytes of a chunk, after its STATUS
    STATUS = b"S"  # JSON: how far the check is
    DONE = b"D"  # JSON: the totals
    REFUSED = b"X"  # JSON: code and parameters
    WORKBOOK = b"W"  # the error workbook


@dataclass(frozen=True, slots=True)
class Task:
    """What the child is to do. It comes on standard input before the file: arguments and environment can be seen by others.

    `reasons` is None for a check; for an error workbook it says why each row was rejected. `skip` rows are staged already.
    """

    import_id: UUID
    keys_file: str
    file_bytes: int
    today: date
    now_ms: int
    memory_bytes: int
    skip: int = 0
    reasons: dict[int, str] | None = None
    legend: str = ""

    def dump(self) -> bytes:
        """The task as one line."""
        fields = {**asdict(self), "import_id": str(self.import_id)}
        return orjson.dumps(fields, option=orjson.OPT_NON_STR_KEYS) + b"\n"

    @classmethod
    def load(cls, line: bytes) -> Self:
        """The task in a line."""
        raw: dict[str, Any] = orjson.loads(line)
        reasons = raw.pop("reasons")
        return cls(
            **{
                **raw,
                "import_id": UUID(raw["import_id"]),
                "today": date.fromisoformat(raw["today"]),
                "reasons": None if reasons is None else {int(number): why for number, why in reasons.items()},
            }
        )


def write_frame(out: BinaryIO, kind: Kind, content: bytes) -> None:
    """Send one frame."""
    out.write(kind.value + len(content).to_bytes(4, "big"))
    out.write(content)
    out.flush()


def read_head(head: bytes) -> tuple[Kind, int]:
    """Kind and length of a frame."""
    return Kind(head[:1]), int.from_bytes(head[1:], "big")
