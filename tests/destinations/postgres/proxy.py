"""A TCP proxy before the database that cuts connections when the client sends a statement."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class CuttingProxy:
    """Forwards connections to ``port``. A request with ``marker`` in it ends its connection, ``cuts`` times.

    With ``forwards`` the server gets the request, and its answer is lost.
    """

    def __init__(self, port: int, marker: bytes, *, forwards: bool, cuts: int = 1) -> None:
        self._target = port
        self._marker = marker
        self._forwards = forwards
        self.left = cuts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def serve(self) -> None:
        """Accepts connections until the listener is closed."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                threading.Thread(target=self._forward, args=(client, server), daemon=True).start()
                threading.Thread(target=self._answer, args=(server, client), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if self.left and self._marker in data:
                    self.left -= 1
                    client.shutdown(socket.SHUT_RDWR)
                    if self._forwards:
                        server.sendall(data)
                    else:
                        server.shutdown(socket.SHUT_RDWR)
                    return
                server.sendall(data)
            server.shutdown(socket.SHUT_RDWR)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                with suppress(OSError):
                    client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Ends listening."""
        self._listener.close()


@contextmanager
def cutting_proxy(
    port: int, marker: bytes, *, forwards: bool, cuts: int = 1
) -> Iterator[CuttingProxy]:
    """Runs a proxy in a thread."""
    proxy = CuttingProxy(port, marker, forwards=forwards, cuts=cuts)
    threading.Thread(target=proxy.serve, daemon=True).start()
    try:
        yield proxy
    finally:
        proxy.close()
