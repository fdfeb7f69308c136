"""A rotating authorization server on raw sockets that answers in whatever form a test says, and ends families on reuse."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs

from tests.oauth.raw_server import http_answer, raw_server, read_request

Form = Callable[[str, str], bytes]


class Rotating:
    """One family of refresh tokens, without grace: a spent one that is sent again ends it. One it never issued is refused.

    ``form`` makes the answer of an access token and a refresh token. ``sent`` are the refresh tokens that came.
    """

    def __init__(self, form: Form) -> None:
        self.form = form
        self.current = "seed-token"
        self.revoked = False
        self.sent: list[str] = []
        self.spent: set[str] = set()
        self.place = ""
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """The token endpoint."""
        return f"http://{self.place}/token"

    def __call__(self, connection: socket.socket) -> None:
        body = read_request(connection).rpartition(b"\r\n\r\n")[2].decode()
        sent = parse_qs(body).get("refresh_token", [""])[0]
        with self._lock:
            answer = self._answer(sent)
        connection.sendall(answer)

    def _answer(self, sent: str) -> bytes:
        self.revoked = self.revoked or (sent in self.spent and sent != self.current)
        self.sent.append(sent)
        if self.revoked or sent != self.current:
            return http_answer(400, b'{"error": "invalid_grant"}')
        self.spent.add(sent)
        number = len(self.sent)
        self.current = f"refresh-token-number-{number}"
        return self.form(f"access-token-number-{number}", self.current)


@contextmanager
def rotating(form: Form) -> Iterator[Rotating]:
    """A running ``Rotating``."""
    server = Rotating(form)
    with raw_server(server) as place:
        server.place = place
        yield server


def plain(access_token: str, refresh_token: str) -> bytes:
    """An answer as RFC 6749 has it."""
    fields = {"access_token": access_token, "refresh_token": refresh_token, "expires_in": 3600}
    return http_answer(200, json.dumps({**fields, "token_type": "Bearer"}).encode())
