"""A private PostgreSQL server for the tests: loopback, free port, temporary folder, gone afterwards.

The server's programs come from the system (Debian: ``postgresql``). PostgreSQL refuses to run as root, so root hands
over to the ``postgres`` user that the package brings.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_NOT_FOUND = "PostgreSQL's programs are not installed (Debian: apt-get install postgresql)"


def postgres_programs() -> Path | None:
    """The folder with ``initdb`` and ``pg_ctl``, newest version first; None without PostgreSQL."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version, reverse=True)
    if versions:
        return versions[0].parent
    on_path = shutil.which("initdb")
    return Path(on_path).parent if on_path else None


def _version(program: Path) -> float:
    return float(program.parts[-3])


class PostgresServer:
    """One database cluster in a folder of its own."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="oauth_taskflow_pg_"))
        self._user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Create the cluster and wait until it answers."""
        data = str(self.folder / "data")
        self._run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8")
        options = (
            f"-c listen_addresses=127.0.0.1 -c port={self.port} -c fsync=off "
            f"-c unix_socket_directories={self.folder} -c max_connections=200"
        )
        log = str(self.folder / "log")
        self._run("pg_ctl", "-D", data, "-w", "-t", "60", "-l", log, "-o", options, "start")

    def stop(self) -> None:
        """Stop at once and delete everything."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "stop")
        shutil.rmtree(self.folder)

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._programs / program, *arguments],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            user=self._user.pw_uid if self._user else None,
            group=self._user.pw_gid if self._user else None,
            extra_groups=[] if self._user else None,
            cwd=self.folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"},
        )


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """URL of a running PostgreSQL server; skipped without PostgreSQL, unless this is CI."""
    programs = postgres_programs()
    if programs is None:
        if os.environ.get("CI") == "true":
            pytest.fail(_NOT_FOUND)
        print(f"skipped: {_NOT_FOUND}", file=sys.stderr)
        pytest.skip(_NOT_FOUND)
    server = PostgresServer(programs)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()
