"""A private MariaDB server for the tests: loopback, free port, temporary folder, gone afterwards.

The server's programs come from the system (Debian: ``mariadb-server``). MariaDB refuses to run as root, so root hands
over to the ``mysql`` user that the package brings.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

_NOT_FOUND = "MariaDB's programs are not installed (Debian: apt-get install mariadb-server)"
_START_SECONDS = 60.0


def mariadb_programs() -> tuple[str, str] | None:
    """``mariadb-install-db`` and ``mariadbd``; None without MariaDB."""
    path = f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin"
    install, server = (shutil.which(name, path=path) for name in ("mariadb-install-db", "mariadbd"))
    return (install, server) if install and server else None


class MariaDbServer:
    """One data folder with a server on it, and its administrator ``root`` without a password."""

    def __init__(self, programs: tuple[str, str]) -> None:
        self._install, self._server = programs
        self.folder = Path(tempfile.mkdtemp(prefix="oauth_taskflow_mariadb_"))
        self._user = pwd.getpwnam("mysql") if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"mysql+pymysql://root@127.0.0.1:{self.port}/grants"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Create the data folder and wait until the server answers."""
        data = f"--datadir={self.folder / 'data'}"
        install = (self._install, "--no-defaults", data, "--skip-test-db")
        self._run(*install, "--auth-root-authentication-method=normal").wait(_START_SECONDS)
        # What a server creates at its start, without asking for a client program.
        first = self.folder / "first.sql"
        first.write_text("CREATE DATABASE IF NOT EXISTS grants CHARACTER SET utf8mb4;\n")
        first.chmod(0o644)
        self._process = self._run(
            self._server,
            "--no-defaults",
            data,
            "--bind-address=127.0.0.1",
            f"--port={self.port}",
            f"--socket={self.folder / 'socket'}",
            f"--pid-file={self.folder / 'pid'}",
            f"--init-file={first}",
            "--max-connections=300",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-buffer-pool-size=32M",
        )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / "log").read_text(errors="replace")[-2000:])
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop at once and delete everything."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.folder)

    def _answers(self) -> bool:
        """The first thing that a server says is its version; before that it listens without a word."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as wire:
                return b"MariaDB" in wire.recv(128)
        except OSError:
            return False

    def _run(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                user=self._user.pw_uid if self._user else None,
                group=self._user.pw_gid if self._user else None,
                extra_groups=[] if self._user else None,
                cwd=self.folder,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"},
            )


@pytest.fixture(scope="session")
def mariadb_url() -> Iterator[str]:
    """URL of a running MariaDB server; skipped without MariaDB, unless this is CI."""
    programs = mariadb_programs()
    if programs is None:
        if os.environ.get("CI") == "true":
            pytest.fail(_NOT_FOUND)
        print(f"skipped: {_NOT_FOUND}", file=sys.stderr)
        pytest.skip(_NOT_FOUND)
    server = MariaDbServer(programs)
    try:
        server.start()
        yield server.url
    finally:
        server.stop()
