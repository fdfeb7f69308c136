"""HTTP/1.1 with keep-alive on a loopback port, one thread per connection.

It is the standard library's server, because Werkzeug's closes the connection after every response. A client would then
never meet a reused connection, and paging would be measured at the speed of TCP handshakes.
"""

from __future__ import annotations

import socket
import ssl
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.testing.messages import Request, Response

Application = Callable[[Request], Response | None]
_POLL_SECONDS = 0.02


class Listener:
    """Serves an application on ``127.0.0.1:port`` (0: a free one) from ``start`` to ``stop``; with ``tls`` encrypted.

    Answers are dated by ``clock``.
    """

    def __init__(
        self, port: int = 0, tls: ssl.SSLContext | None = None, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._server = _Server(port, clock)
        if tls is not None:
            # The handshake waits for the connection's own thread: a slow client must not hold up the others.
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), daemon=True
        )

    @property
    def port(self) -> int:
        """The port it listens on; known before ``start``."""
        return int(self._server.server_address[1])

    def start(self, application: Application) -> None:
        """Begin to answer; where ``application`` returns None, the connection is dropped without an answer."""
        self._server.application = application
        self._thread.start()

    def stop(self) -> None:
        """Stop listening and cut all open connections."""
        if (
            self._thread.ident is not None
        ):  # shutdown() waits for ever for a server that was never started
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self._server.cut_connections()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    application: Application

    def __init__(self, port: int, clock: Clock) -> None:
        self.clock = clock
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Connection)

    def server_bind(self) -> None:
        # HTTPServer's own asks DNS for a host name, which may take seconds.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print what went wrong in here; clients that go away mid-answer are part of the tests."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def cut_connections(self) -> None:
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            self.shutdown_request(connection)


class _Connection(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle_one_request(self) -> None:
        """Read one request, answer it in one write; the base class calls this until the connection ends."""
        self.close_connection = True
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            return
        answer = self.server.application(self._request())
        if answer is None:
            self.close_connection = True
        else:
            self._send(answer)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        """The request log is elsewhere."""

    def _request(self) -> Request:
        headers: dict[str, str] = {}
        for received, value in self.headers.items():
            name = received.title()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return Request(self.command, self.path, headers, self._body(headers), self._certificate())

    def _certificate(self) -> bytes:
        connection = self.connection
        if not isinstance(connection, ssl.SSLSocket):
            return b""
        return connection.getpeercert(binary_form=True) or b""

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(headers.get("Content-Length", "0")))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _send(self, answer: Response) -> None:
        reason = self.responses.get(answer.status, ("",))[0]
        lines = [
            f"HTTP/1.1 {answer.status} {reason}",
            f"Date: {self.date_time_string(self.server.clock.now())}",
            f"Content-Length: {len(answer.body)}",
            *(f"{name}: {value}" for name, value in answer.headers),
        ]
        head = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
        self.wfile.write(head if self.command == "HEAD" else head + answer.body)
