"""A private PgBouncer (Debian: ``pgbouncer``) before the PostgreSQL server of the tests."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

import pytest

from tests.database_server import SingleProcessServer, empty_tables, running

# Fewer than the connections of any test: one session of the server then serves several clients.
POOL_SIZE = 2
_SETTINGS = """\
[databases]
* = host=127.0.0.1 port={target}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = {mode}
default_pool_size = {size}
max_client_conn = 500
"""


class PgBouncer(SingleProcessServer):
    """A pooler in ``mode`` (``session`` or ``transaction``) before the server at ``target``."""

    def __init__(self, program: str, target: str, mode: str) -> None:
        super().__init__("postgres")
        self._program = program
        parts = urlsplit(target)
        self._settings = self.folder / "pgbouncer.ini"
        # In session mode a connection has its session until it is closed.
        size = POOL_SIZE if mode == "transaction" else 100
        text = _SETTINGS.format(
            target=parts.port, port=self.port, folder=self.folder, mode=mode, size=size
        )
        self._settings.write_text(text)
        (self.folder / "users").write_text('"postgres" ""\n')
        self.url = urlunsplit(parts._replace(netloc=f"postgres@127.0.0.1:{self.port}"))

    def start(self) -> None:
        self.serve(self._program, self._settings)

    def answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        except OSError:
            return False
        return True


def find_pgbouncer() -> str | None:
    """The program; None where it is not installed."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")


def _pool(postgres_url: str, mode: str) -> Iterator[str]:
    program = find_pgbouncer()
    server = PgBouncer(program, postgres_url, mode) if program else None
    yield from running(server, "PgBouncer is not installed (Debian: apt-get install pgbouncer)")


@pytest.fixture(scope="session")
def transaction_pool_url(postgres_url: str) -> Iterator[str]:
    """URL of a PgBouncer before PostgreSQL: each transaction may be in another session of the server."""
    yield from _pool(postgres_url, "transaction")


@pytest.fixture(scope="session")
def session_pool_url(postgres_url: str) -> Iterator[str]:
    """URL of a PgBouncer before PostgreSQL: each connection has a session that another one had before it."""
    yield from _pool(postgres_url, "session")


@pytest.fixture(params=["transaction", "session"])
def pooled_url(request: pytest.FixtureRequest) -> str:
    """URL of a PgBouncer in each mode."""
    return empty_tables(request.getfixturevalue(f"{request.param}_pool_url"))
