"""A proxy in front of a store that fails some requests: by a status, a lost connection, a lost answer, or a delay.

``late`` is a request that reaches the store when the client has given up waiting.
"""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

# (number of the request from 0, method, path) -> what happens to it; None for nothing
Fault = Callable[[int, str, str], "str | None"]
DELAY = 0.3  # seconds
_SLOW_DOWN = (
    b"<?xml version='1.0' encoding='UTF-8'?><Error><Code>SlowDown</Code>"
    b"<Message>Please reduce your request rate.</Message></Error>"
)
_DENIED = (
    b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyProxy

    def log_message(self, *_: Any) -> None:
        """Stay silent."""

    def _forward(self) -> None:
        content = self._body()
        fault = self.server.next_fault(self.command, self.path)
        if fault in {"503", "429", "500", "403"}:
            self._answer(int(fault), {}, _DENIED if fault == "403" else _SLOW_DOWN)
            return
        if fault == "lost":
            self.close_connection = True
            return
        if fault == "slow":
            time.sleep(DELAY)
        if fault == "late":
            self.connection.recv(1, socket.MSG_PEEK)  # returns when the client hangs up
        host = urlsplit(self.server.target)
        connection = http.client.HTTPConnection(host.hostname or "", host.port, timeout=60)
        try:
            headers = {k: v for k, v in self.headers.items() if k.lower() != "transfer-encoding"}
            headers["Content-Length"] = str(len(content))
            connection.request(self.command, self.path, content, headers)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if fault in {"answer lost", "late"}:
            self.close_connection = True
            return
        self._answer(answer.status, dict(answer.getheaders()), data)

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _answer(self, status: int, headers: dict[str, str], data: bytes) -> None:
        self.send_response_only(status)
        lengths = (value for name, value in headers.items() if name.lower() == "content-length")
        length = next(lengths, None) if self.command == "HEAD" else None
        for name, value in headers.items():
            if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


for _method in ("GET", "PUT", "POST", "DELETE", "HEAD"):
    setattr(_Handler, f"do_{_method}", _Handler._forward)


class FaultyProxy(ThreadingHTTPServer):
    """Forwards to ``target``; ``fault`` says what happens to each request, and may be changed at any time."""

    daemon_threads = True

    def __init__(self, target: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = target
        self.fault: Fault = lambda _number, _method, _path: None
        self.asked: list[tuple[str, str]] = []
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """The address of the proxy."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def next_fault(self, method: str, path: str) -> str | None:
        """Counts a request, and returns its fault."""
        with self._lock:
            self.asked.append((method, path))
            return self.fault(len(self.asked) - 1, method, path)


@contextmanager
def faulty(target: str) -> Iterator[FaultyProxy]:
    """Runs a proxy for the block."""
    proxy = FaultyProxy(target)
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        proxy.server_close()
