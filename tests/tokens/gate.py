"""A TCP door in front of a server: closed, it cuts every connection and lets no new one in.

It can also cut one connection between a transaction's end at the server and the news of it.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self


class Gate:
    """Passes bytes between ``port`` of this object and ``target`` on loopback while it is open."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open = True
        self._wires: list[socket.socket] = []
        self._lock = threading.Lock()
        self._commits = 0
        self._cut_at = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def close(self) -> None:
        """The server is gone."""
        with self._lock:
            self._open = False
            for wire in self._wires:
                with contextlib.suppress(OSError):
                    wire.shutdown(socket.SHUT_RDWR)
                wire.close()
            self._wires.clear()

    def open(self) -> None:
        """The server is back."""
        with self._lock:
            self._open = True

    def cut_at_commit(self, number: int) -> None:
        """The ``number``-th commit from now on is done, and the client never hears of it."""
        with self._lock:
            self._commits, self._cut_at = 0, number

    @property
    def has_cut(self) -> bool:
        """Whether that commit came."""
        with self._lock:
            return 0 < self._cut_at <= self._commits

    def _is_cut(self, data: bytes) -> bool:
        """Whether ``data`` is the statement whose answer is withheld; both protocols send it as text."""
        with self._lock:
            self._commits += b"COMMIT" in data
            return b"COMMIT" in data and self._commits == self._cut_at

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._pass_on(self._listener.accept()[0])

    def _pass_on(self, client: socket.socket) -> None:
        with self._lock:
            if not self._open:
                client.close()
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            self._wires += [client, server]
        withheld = threading.Event()
        threading.Thread(target=self._forth, args=(client, server, withheld), daemon=True).start()
        threading.Thread(target=_back, args=(server, client, withheld), daemon=True).start()

    def _forth(
        self, client: socket.socket, server: socket.socket, withheld: threading.Event
    ) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if self._is_cut(data):
                    withheld.set()
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)


def _back(server: socket.socket, client: socket.socket, withheld: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while data := server.recv(65536):
            if withheld.is_set():  # the answer proves that it is done
                break
            client.sendall(data)
        client.shutdown(socket.SHUT_RDWR)
