"""A private database server for the tests: loopback, free port, temporary folder, gone afterwards, even after a kill.

Its programs come from the system. They refuse to run as root, so root hands over to the user that the package brings.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import MetaData, create_engine

from oauth_taskflow.testing.airflow_deployment import free_port
from oauth_taskflow.testing.parent_watch import ParentWatch

START_SECONDS = 300.0


class DatabaseServer:
    """A separate folder with a server on it; ``account`` is the system user that root becomes."""

    url: str

    def __init__(self, account: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"oauth_taskflow_{account}_"))
        self.port = free_port()
        self._tie: ParentWatch | None = None
        self._user = pwd.getpwnam(account) if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(self.folder, self._user.pw_uid, self._user.pw_gid)

    def start(self) -> None:
        """Create the database and wait until the server answers."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop at once and delete everything."""
        self.untie()
        shutil.rmtree(self.folder)

    def tie(self, server: int, request: signal.Signals) -> None:
        """Let the server, the first process of its group, end with this process."""
        self.untie()
        self._tie = ParentWatch(server, str(self.folder), request=request)

    def untie(self) -> None:
        """End what ``tie`` began."""
        if self._tie is not None:
            self._tie.release()
        self._tie = None

    def launch(self, *command: str | Path) -> subprocess.Popen[bytes]:
        """Start a program as the server's user; what it prints is kept in the folder."""
        with (self.folder / "output").open("ab") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=self._user.pw_uid if self._user else None,
                group=self._user.pw_gid if self._user else None,
                extra_groups=[] if self._user else None,
                cwd=self.folder,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C", "TZ": "UTC"},
            )

    def run(self, *command: str | Path) -> None:
        """Run a program to its end."""
        if self.launch(*command).wait(START_SECONDS) != 0:
            raise self.failure()

    def failure(self) -> RuntimeError:
        """An error with the last words of the programs."""
        return RuntimeError((self.folder / "output").read_text(errors="replace")[-2000:])


class SingleProcessServer(DatabaseServer):
    """A server of one process, which needs no farewell: it is killed at the end."""

    _process: subprocess.Popen[bytes] | None = None

    def serve(self, *command: str | Path) -> None:
        """Start the process and wait until it answers."""
        process = self._process = self.launch(*command)
        self.tie(process.pid, signal.SIGKILL)
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if process.poll() is not None or time.monotonic() > deadline:
                raise self.failure()
            time.sleep(0.05)

    def answers(self) -> bool:
        """Whether clients can connect."""
        raise NotImplementedError

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        super().stop()


def empty_tables(url: str) -> str:
    """``url`` of a database, after the rows of all its tables were deleted.

    A grant is stored under its server's address. Servers of tests get free ports, and a port comes back: without this,
    a test would find the grant of another one.
    """
    engine = create_engine(url)
    tables = MetaData()
    tables.reflect(engine)
    with engine.begin() as connection:
        for table in reversed(tables.sorted_tables):
            connection.execute(table.delete())
    engine.dispose()
    return url


def running(server: DatabaseServer | None, missing: str) -> Iterator[str]:
    """The body of a fixture: the URL of ``server`` while it runs; skipped without one, unless this is CI."""
    if server is None:
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        print(f"skipped: {missing}", file=sys.stderr)
        pytest.skip(missing)
    try:
        server.start()
        yield server.url
    finally:
        server.stop()
