"""Waits on 127.0.0.1 for the browser to bring the answer of an authorization server (RFC 8252 §7.3).

It takes one answer: the first to its path, under its own ``Host``, that its owner recognises. Everything else (favicons,
port scanners, pages that guess, a second callback) is answered with an error page and changes nothing.
"""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on

Answer = list[tuple[str, str]]
_POLL_SECONDS = 0.05
_READ_SECONDS = 10.0
_DONE = "/done"
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body><h1>{title}</h1><p>{text}</p></body></html>
"""
_HEADERS = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("X-Content-Type-Options", "nosniff"),
    ("Connection", "close"),
)


class LoopbackListener:
    """Listens from ``with`` to its end.

    Args:
        accepts: whether an answer's parameters are the ones waited for (``state`` compared in constant time).
        port: 0 for a random free one.
        path: of the redirect URI.
        host: the name in the redirect URI; the socket is bound to 127.0.0.1 whatever it is.

    Raises:
        OSError: the port is taken.
    """

    def __init__(
        self,
        accepts: Callable[[Mapping[str, str]], bool],
        *,
        port: int = 0,
        path: str = "/callback",
        host: str = "127.0.0.1",
    ) -> None:
        self.accepts = accepts
        self.path = path
        self._host = host
        self._lock = threading.Lock()
        self._answer: Answer | None = None
        self._arrived = threading.Event()
        self._shown = threading.Event()
        self._server = _Server(("127.0.0.1", port), self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def authority(self) -> str:
        """The only ``Host`` that is answered."""
        return f"{self._host}:{self._server.server_address[1]}"

    @property
    def redirect_uri(self) -> str:
        """Where the authorization server shall send the browser."""
        return f"http://{self.authority}{self.path}"

    def wait(self, seconds: float, *, goodbye: float = 2.0) -> Answer | None:
        """The parameters of the answer; None when none came in ``seconds``.

        The page that says so is given ``goodbye`` seconds to be fetched.
        """
        if not self._arrived.wait(seconds):
            return None
        self._shown.wait(goodbye)
        return self._answer

    def take(self, answer: Answer) -> bool:
        """Keep ``answer`` if it is the first one that is recognised."""
        if not self.accepts(dict(answer)):
            return False
        with self._lock:
            if self._answer is not None:
                return False
            self._answer = answer
        self._arrived.set()
        return True

    def note_goodbye(self) -> bool:
        """Note that the last page was fetched; False while there is nothing to say."""
        if not self._arrived.is_set():
            return False
        self._shown.set()
        return True


class _Server(ThreadingHTTPServer):
    # Browsers open connections that they may never use: one at a time would wait for those.
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = False  # see _claim

    def __init__(self, address: tuple[str, int], owner: LoopbackListener) -> None:
        self.owner = owner
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        _claim(self.socket, self.server_address[1])
        # HTTPServer's own asks DNS for a host name.
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002  # as the base class calls it
        return ip_address(client_address[0]).is_loopback

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores browsers that hang up; a traceback would show the URL."""


def _claim(listening: socket.socket, port: int) -> None:
    """Make a port usable that an earlier login has left, but none that a living program holds.

    The connections of a login that is over keep its port for a minute (TIME_WAIT). On Unix ``SO_REUSEADDR`` passes over
    those; on macOS it also passes over a program that listens on all addresses, so that is asked first. On Windows it
    would let two programs share a port: the opposite is set there.

    Raises:
        OSError: a program answers on the port.
    """
    exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)
    if exclusive is not None:
        listening.setsockopt(socket.SOL_SOCKET, exclusive, 1)  # pragma: no cover  # Windows
        return  # pragma: no cover
    if port and _answers(port):
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _READ_SECONDS
    server_version = "oauth-taskflow"
    sys_version = ""

    def do_GET(self) -> None:
        owner, parts = self.server.owner, urlsplit(self.path)
        if self.headers.get_all("Host") != [owner.authority]:
            return self._page(421, "Wrong address", "This address serves one login only.")
        if parts.path == _DONE and owner.note_goodbye():
            return self._page(
                200, "Answer received", "The terminal shows how the login ended. Close this page."
            )
        if parts.path != owner.path:
            return self._page(404, "Nothing here", "Nothing to see.")
        if not owner.take(parse_qsl(parts.query, keep_blank_values=True)):
            return self._page(400, "Not expected", "This answer belongs to no login that waits.")
        # 303, and an address without the code: it stays out of the browser's history (RFC 9700 §4.3.1, §4.12).
        return self._send(303, b"", ("Location", _DONE))

    def _page(self, status: int, title: str, text: str) -> None:
        self._send(status, _PAGE.format(title=title, text=text).encode())

    def _send(self, status: int, body: bytes, *more: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (*_HEADERS, *more, ("Content-Length", str(len(body)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        """Nothing: the request line holds the code."""
