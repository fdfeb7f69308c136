"""The handle that ends an exchange at its deadline."""

from __future__ import annotations

import socket

from urllib3.connection import HTTPConnection

from oauth_taskflow.oauth.endpoint.transport import Wire


def test_cutting_ends_open_connections_and_passes_over_others() -> None:
    never, closed, cut = (HTTPConnection("127.0.0.1", 9) for _ in range(3))
    ours, theirs = socket.socketpair()
    cut.sock = ours
    closed.sock = socket.socket()
    wire = Wire(5, connections=[never, closed, cut])
    wire.cut()
    assert theirs.recv(1) == b""
    for sock in (ours, theirs, closed.sock):
        sock.close()
