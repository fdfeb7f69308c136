"""``python -m oauth_taskflow.testing``: the test server as a process, until it is interrupted or terminated.

It prints its base URL once it is ready. ``--port-file`` then contains the port and ``--connection-file`` an Airflow
connection as JSON. The connection has a refresh token when ``--rotate`` is given, and is meant for ``airflow oauth
login`` with ``--login``. Both files are written atomically.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from oauth_taskflow.testing.missing_extra import missing_extra

if TYPE_CHECKING:
    from oauth_taskflow.testing.server import OAuthTestServer

_LONGEST_WAIT = 0.1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m oauth_taskflow.testing", description=__doc__)
    add = parser.add_argument
    add("--port", type=int, default=0, help="port on 127.0.0.1; 0 takes a free one")
    add("--token-lifetime", type=float, default=3600.0, metavar="SECONDS")
    add("--rotate", action="store_true", help="refresh tokens are single-use")
    add("--grace", type=float, default=0.0, metavar="SECONDS", help="for a re-sent refresh token")
    add("--latency", type=float, default=0.0, metavar="SECONDS", help="before each answer")
    add("--client-id", default="test-client")
    add("--client-secret", default="test-secret")
    add("--port-file", type=Path, metavar="FILE", help="written when the server answers")
    add("--connection-file", type=Path, metavar="FILE", help="Airflow connection as JSON")
    add(
        "--login",
        action="store_true",
        help="the connection is one that a person authorizes: airflow oauth login",
    )
    return parser


def _write(path: Path, text: str) -> None:
    """Write ``path`` so that a reader sees nothing or everything; only the owner may read it."""
    draft = path.with_name(f"{path.name}.part")
    draft.touch(mode=0o600)
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Yields a list that collects each SIGINT and SIGTERM; restores the previous handlers afterwards."""
    stopped: list[int] = []
    before = {
        # An event would need a lock, which the thread that the handler interrupts may hold.
        number: signal.signal(number, lambda number, _: stopped.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _connection(server: OAuthTestServer, options: argparse.Namespace) -> str:
    if options.login:
        return json.dumps(server.connection_to_authorize())
    seed = server.issue_refresh_token() if options.rotate else None
    return server.connection_json(refresh_token=seed)


def main(arguments: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; the exit status."""
    options = _parser().parse_args(arguments)
    if missing := missing_extra():
        print(missing, file=sys.stderr)  # noqa: T201  # a command's message
        return 2
    from oauth_taskflow.testing.server import OAuthTestServer  # noqa: PLC0415  # its libraries are an extra

    server = OAuthTestServer(
        port=options.port,
        client_id=options.client_id,
        client_secret=options.client_secret,
        token_lifetime=options.token_lifetime,
        rotate=options.rotate,
        grace=options.grace,
        latency=options.latency,
    )
    with server, _stop_signals() as stopped:
        if options.connection_file:
            _write(options.connection_file, _connection(server, options))
        if options.port_file:
            _write(options.port_file, server.base_url.rpartition(":")[2])
        print(server.base_url, flush=True)  # noqa: T201  # the address is this program's output
        while not stopped:  # a signal that comes just before a wait does not end it
            time.sleep(_LONGEST_WAIT)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
