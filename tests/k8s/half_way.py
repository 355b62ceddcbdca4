"""A migration that fails half-way, in a Job like the product's own, and what is left of it; then its cause is mended."""

import json
from pathlib import Path
from typing import Any, Final

from shared.database.revisions import VERSION_TABLE, newest_migration
from tests.k8s.cluster import NEXT, PATIENCE, Cluster, overlay, until

_JOB: Final = "membership-migrate"
_SELECTED: Final = "app.kubernetes.io/name=membership,app.kubernetes.io/component=migrate"
_REVISION: Final = "9000_half_way"
_FOLDER: Final = "/opt/unionhall/app/membership_service/migrations/versions"
#: The second statement finds a table in its way as long as somebody keeps one there.
_MIGRATION: Final = """
from alembic import op

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE TABLE half_way (id INTEGER)")
    op.execute("CREATE TABLE in_the_way (id INTEGER)")


def downgrade() -> None:
    op.execute("DROP TABLE in_the_way")
    op.execute("DROP TABLE half_way")
"""


def migration_fails_half_way(cluster: Cluster) -> None:
    """It leaves nothing behind; the same Job succeeds once the cause is gone. Then it is taken back, as the book says."""
    before = _revision(cluster)
    cluster.sql("membership", "CREATE TABLE in_the_way (id INTEGER)")
    _start(cluster, before, ["migrate"])
    until(lambda: _tried(cluster, "failed"), "the Job has failed once")
    assert _revision(cluster) == before, "a migration that failed moved the revision"
    assert not cluster.sql("membership", "SELECT to_regclass('half_way')"), "half a migration stayed"
    cluster.sql("membership", "DROP TABLE in_the_way")
    until(lambda: _tried(cluster, "succeeded"), "another try of the Job has succeeded")
    assert _revision(cluster) == _REVISION
    _start(cluster, before, ["migrate", "downgrade", before])
    cluster.kubectl("wait", "--for=condition=complete", f"--timeout={PATIENCE}s", f"job/{_JOB}")
    assert _revision(cluster) == before
    assert not cluster.sql("membership", "SELECT to_regclass('half_way')")


def _revision(cluster: Cluster) -> str:
    return cluster.sql("membership", f"SELECT version_num FROM {VERSION_TABLE}")


def _tried(cluster: Cluster, how: str) -> bool:
    return bool(cluster.get("job", _JOB)["status"].get(how, 0))


def _start(cluster: Cluster, before: str, words: list[str]) -> None:
    """The Job of the overlay with one migration more."""
    assert before == newest_migration("membership_service")
    folder = overlay(NEXT, "half-way", **_parts(words))
    migration = Path(folder) / f"{_REVISION}.py"
    migration.write_text(_MIGRATION.format(revision=_REVISION, before=before), "utf-8")
    cluster.kubectl("delete", "job", _JOB, "--ignore-not-found")
    cluster.kubectl("apply", "-k", folder, "--selector", _SELECTED)


def _parts(words: list[str]) -> dict[str, Any]:
    mounted = {"name": "half-way", "mountPath": f"{_FOLDER}/{_REVISION}.py", "subPath": f"{_REVISION}.py"}
    labels = dict(pair.split("=") for pair in _SELECTED.split(","))
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": _JOB},
        "spec": {
            "template": {
                "spec": {
                    "containers": [{"name": "service", "args": words, "volumeMounts": [mounted]}],
                    "volumes": [{"name": "half-way", "configMap": {"name": "half-way"}}],
                }
            }
        },
    }
    file = {"name": "half-way", "files": [f"{_REVISION}.py"], "options": {"labels": labels}}
    return {"configMapGenerator": [file], "patches": [{"patch": json.dumps(job)}]}
