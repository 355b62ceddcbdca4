"""What a transaction may see: row-level security by prefixes of the organisation path.

The scope is set per transaction (`set_config(..., is_local => true)`) and ends with it: a pooled connection carries nothing over.
Row-level security only filters; every query still names its subtree as a range on the path (`shared.database.paths`).
"""

import re
from dataclasses import dataclass

_PATH = re.compile(r"(?:[0-9a-z]+/)+")

#: One array per query (an uncorrelated sub-select is evaluated once, not per row). Whatever is not a whole path is dropped: an
#: unset, empty or garbled setting gives no row. `nullif`, because a pooled connection knows the setting as '' after its first use
_ALLOWED = (
    "(SELECT array_agg(p) FROM unnest(string_to_array(nullif(current_setting('app.scope', true), ''), ',')) AS p"
    " WHERE p ~ '^([0-9a-z]+/)+$')::text[]"
)


@dataclass(frozen=True, slots=True)
class Scope:
    """Subtrees, by the paths of their topmost units. `whole` leaves the setting alone: only a worker's role then sees rows."""

    paths: tuple[str, ...] = ()
    whole: bool = False

    def __post_init__(self) -> None:
        """Refuse what is not a path: an empty one would be everybody's prefix."""
        for path in self.paths:
            if not _PATH.fullmatch(path):
                raise ValueError("a scope is made of whole organisation paths")

    @staticmethod
    def nothing() -> "Scope":
        """No row."""
        return Scope()

    @staticmethod
    def everything() -> "Scope":
        """For the worker role, whose own policy lets it see all rows; any other role sees none with it."""
        return Scope(whole=True)

    def setting(self) -> str:
        """The value of `app.scope`."""
        return ",".join(self.paths)

    def with_path(self, path: str) -> "Scope":
        """The same scope and one more subtree."""
        return Scope((*self.paths, path), self.whole)


def in_scope(column: str) -> str:
    """SQL condition: the path in `column` lies in the transaction's scope. For policies, and for views in place of one."""
    return f"{column} ^@ ANY ({_ALLOWED})"


def policy_ddl(table: str, service: str, column: str = "path") -> list[str]:
    """Statements that put `table` under row-level security by its path `column` (of C collation).

    The application role sees and writes rows of its scope. The worker sees all rows by a policy of its own, and so does the
    owner: migrations and SECURITY DEFINER look-ups run as the owner, and FORCE makes their right an explicit one.
    """
    allowed = in_scope(column)
    unscoped = f"unionhall_{service}_worker, unionhall_{service}_owner"
    return [
        f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
        f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY {table}_scope ON {table} TO unionhall_{service}_app USING ({allowed}) WITH CHECK ({allowed})",
        f"CREATE POLICY {table}_unscoped ON {table} TO {unscoped} USING (true) WITH CHECK (true)",
    ]
