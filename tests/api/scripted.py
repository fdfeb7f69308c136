"""A scripted loopback API: routes are functions, every request is logged."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

from oauth_taskflow.oauth.token import Token


@dataclass(frozen=True)
class Asked:
    """One request as it came over the wire."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """A scripted response; ``body`` is sent as it is when bytes, else as JSON.

    ``drop`` closes the connection instead; ``silent`` says nothing until the client has left.
    """

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    drop: bool = False
    silent: bool = False
    cut: int = 0


Route = Callable[[Asked], "Reply | Any"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    api: ScriptedApi

    def _answer(self) -> None:
        headers = cast("Mapping[str, str]", self.headers)
        asked = Asked(self.command, self.path, headers, self._read_body())
        self.api.asked.append(asked)
        reply = self.api.route(asked)
        self._send(reply if isinstance(reply, Reply) else Reply(reply))

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _send(self, reply: Reply) -> None:
        if reply.silent:
            self.rfile.read(1)
        if reply.drop or reply.silent:
            self.close_connection = True
            return
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        if reply.status in {204, 304} or self.command == "HEAD":
            body = b""
        self.send_response(reply.status)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            for line in value.split("\n"):
                self.send_header(name, line)
        self.send_header("Content-Length", str(len(body) + reply.cut))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = self.close_connection or reply.cut > 0

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _answer  # noqa: N815 - http.server's names

    def log_message(self, *args: Any) -> None:
        return


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the tests; anything else is a defect of the script."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class ScriptedApi:
    """Answers ``route(asked)``; a reply other than a ``Reply`` is a JSON body."""

    def __init__(self, route: Route) -> None:
        self.route = route
        self.asked: list[Asked] = []
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"api": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def paths(self) -> list[str]:
        return [asked.target for asked in self.asked]

    def tokens(self) -> list[str]:
        return [asked.headers.get("Authorization", "") for asked in self.asked]

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@contextmanager
def scripted(route: Route) -> Iterator[ScriptedApi]:
    """A started ``ScriptedApi``, stopped at the end."""
    api = ScriptedApi(route)
    api.start()
    try:
        yield api
    finally:
        api.stop()


class Sources:
    """A token source of numbered tokens: ``t1``, and ``t2`` once ``t1`` was refused."""

    def __init__(self) -> None:
        self.number = 1
        self.refusals = 0
        self._lock = threading.Lock()

    def token(self) -> Token:
        return Token(f"t{self.number}", obtained_at=0.0)

    def replace_refused(self, access_token: str) -> Token:
        with self._lock:
            self.refusals += 1
            if access_token == f"t{self.number}":
                self.number += 1
            return self.token()


class FakeClock:
    """Time that passes only by sleeping."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.time = now
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
