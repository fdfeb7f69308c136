"""A private MariaDB server (Debian: ``mariadb-server``)."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator

import pytest

from tests.database_server import SingleProcessServer, running


def mariadb_programs() -> tuple[str, str] | None:
    """``mariadb-install-db`` and ``mariadbd``; None without MariaDB."""
    path = f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin"
    install, server = (shutil.which(name, path=path) for name in ("mariadb-install-db", "mariadbd"))
    return (install, server) if install and server else None


class MariaDbServer(SingleProcessServer):
    """One data folder, and its administrator ``root`` without a password."""

    def __init__(self, programs: tuple[str, str]) -> None:
        super().__init__("mysql")
        self._install, self._server = programs
        self.url = f"mysql+pymysql://root@127.0.0.1:{self.port}/grants"

    def start(self) -> None:
        common = ("--no-defaults", f"--datadir={self.folder / 'data'}")
        own = ("--skip-test-db", "--auth-root-authentication-method=normal")
        self.run(self._install, *common, *own)
        # The server creates this at its start, so that no client program is needed.
        first = self.folder / "first.sql"
        first.write_text("CREATE DATABASE IF NOT EXISTS grants CHARACTER SET utf8mb4;\n")
        first.chmod(0o644)
        self.serve(
            self._server,
            *common,
            "--bind-address=127.0.0.1",
            f"--port={self.port}",
            f"--socket={self.folder / 'socket'}",
            f"--pid-file={self.folder / 'pid'}",
            f"--init-file={first}",
            "--max-connections=300",
            "--innodb-flush-log-at-trx-commit=0",
            "--innodb-buffer-pool-size=32M",
        )

    def answers(self) -> bool:
        """The first thing that a server says is its version; before that it listens without a word."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as wire:
                return b"MariaDB" in wire.recv(128)
        except OSError:
            return False


@pytest.fixture(scope="session")
def mariadb_url() -> Iterator[str]:
    """URL of a running MariaDB server."""
    programs = mariadb_programs()
    server = MariaDbServer(programs) if programs else None
    yield from running(
        server, "MariaDB's programs are not installed (Debian: apt-get install mariadb-server)"
    )
