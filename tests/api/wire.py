"""A loopback server that answers with raw bytes: broken, slow and endless answers as no HTTP library would send them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO

Answer = Callable[[int, str], "bytes | Iterator[bytes]"]


def http(
    body: bytes, *headers: str, status: str = "200 OK", length: int | None = None, kind: str = ""
) -> bytes:
    """A whole answer; ``length`` other than the body's own lies about it."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind or 'application/json'}", *headers]
    lines.append(
        "Connection: close"
    )  # else a next request may meet a connection that is about to end
    lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def make_unbounded(body: bytes, *headers: str) -> bytes:
    """An answer whose body ends with the connection."""
    lines = ["HTTP/1.1 200 OK", "Content-Type: application/json", *headers, "Connection: close"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def make_chunked(*chunks: bytes, end: bytes = b"0\r\n\r\n", headers: tuple[str, ...] = ()) -> bytes:
    """An answer in chunks whose sizes are written with leading zeros, as some servers do."""
    lines = ["HTTP/1.1 200 OK", "Content-Type: application/json", "Transfer-Encoding: chunked"]
    lines.append("Connection: close")
    head = "\r\n".join([*lines, *headers]).encode() + b"\r\n\r\n"
    return head + b"".join(b"%08x\r\n%b\r\n" % (len(c), c) for c in chunks) + end


class Wire:
    """Sends ``answer(number, target)`` to the request of that number (from 0), and closes the connection."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.targets: list[str] = []
        self._lock = threading.Lock()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._threads = [threading.Thread(target=self._accept)]
        self._stopped = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def start(self) -> None:
        self._threads[0].start()

    def stop(self) -> None:
        self._stopped.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(300)
            try:
                target = _target(connection.makefile("rb"))
            except OSError:
                return
            if not target:
                return
            with self._lock:
                number = len(self.targets)
                self.targets.append(target)
            made = self._answer(number, target)
            try:
                for part in [made] if isinstance(made, bytes) else made:
                    if self._stopped.is_set():
                        return
                    connection.sendall(part)
            except OSError:
                return


def _target(request: BinaryIO) -> str:
    """The target of ``request``, empty when none came. It is read to its end: bytes left unread would cause a reset."""
    target = b"".join(request.readline().split(b" ")[1:2]).decode()
    length = 0
    while line := request.readline().strip():
        name, _, value = line.partition(b":")
        length = int(value) if name.lower() == b"content-length" else length
    request.read(length)
    return target


@contextmanager
def on_the_wire(answer: Answer) -> Iterator[Wire]:
    """A started ``Wire``, stopped at the end."""
    wire = Wire(answer)
    wire.start()
    try:
        yield wire
    finally:
        wire.stop()
