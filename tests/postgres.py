"""A PostgreSQL cluster of the tests' own: in a temporary directory, on a free port, as an ordinary user."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg

_BINARIES = (Path("/usr/lib/postgresql"), "*/bin/postgres")
_ROOTS_STAND_IN = "nobody"  # PostgreSQL refuses to run as root


def postgres_binaries() -> Path | None:
    """The directory with `initdb` and `postgres`, of the newest version installed."""
    found = sorted(_BINARIES[0].glob(_BINARIES[1]), key=lambda path: float(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    return Path(on_path).resolve().parent if on_path else None


@dataclass
class PostgresCluster:
    """`start`, `stop`, and databases in it."""

    directory: Path
    binaries: Path
    port: int
    process: subprocess.Popen[bytes] | None = None
    _names: Iterator[int] = field(default_factory=count)

    def start(self) -> None:
        """Return once it accepts connections."""
        self.process = subprocess.Popen(
            [
                *self._as_user(),
                *(self.binaries / "postgres", "-D", self.directory / "data", "-p", str(self.port)),
                *("-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.directory}"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while True:  # it tells nobody when it is ready
            try:
                psycopg.connect(self._url("postgres"), connect_timeout=10).close()
            except psycopg.OperationalError:
                assert self.process.poll() is None, "PostgreSQL did not start"
            else:
                return

    def stop(self, *, at_once: bool = False) -> None:
        """Stop it: as operators do, or as a power cut does."""
        if self.process is not None:
            subprocess.run(
                [
                    *self._as_user(),
                    *(self.binaries / "pg_ctl", "stop", "-D", self.directory / "data"),
                    *("-m", "immediate" if at_once else "fast"),
                ],
                check=True,
                stdout=subprocess.DEVNULL,
            )
            self.process.wait()
            self.process = None

    def make_database(self) -> str:
        """Make an empty database; return its URL."""
        name = f"test_{next(self._names)}"
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self._url(name)

    def make(self) -> None:
        """Make the cluster's files."""
        if os.geteuid() == 0:
            user = pwd.getpwnam(_ROOTS_STAND_IN)
            os.chown(self.directory, user.pw_uid, user.pw_gid)
        subprocess.run(
            [
                *self._as_user(),
                *(self.binaries / "initdb", "-D", self.directory / "data", "-U", "calotype", "-A", "trust"),
                *("--no-sync", "--encoding=UTF8", "--locale=C"),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def _as_user(self) -> list[str]:
        if os.geteuid() != 0:
            return []
        user = pwd.getpwnam(_ROOTS_STAND_IN)
        return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]

    def _url(self, database: str) -> str:
        return f"postgresql://calotype@127.0.0.1:{self.port}/{database}"


@contextmanager
def running_postgres() -> Iterator[PostgresCluster]:
    """A cluster that is gone, files and all, when the block ends.

    Raises:
        FileNotFoundError: PostgreSQL is not installed.
    """
    binaries = postgres_binaries()
    if binaries is None:
        raise FileNotFoundError("PostgreSQL is not installed: apt-get install --no-install-recommends postgresql")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="calotype-postgres-", ignore_cleanup_errors=True) as directory:
        cluster = PostgresCluster(Path(directory), binaries, port)
        cluster.make()
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop(at_once=True)
