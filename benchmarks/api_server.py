"""A loopback API that is never the bottleneck: pages are encoded once, before the first request.

Started by ``pull.py`` as a separate process with the number of records, and ``odd`` for other dates; prints its port, and serves
``GET /records?after=N`` until its standard input closes. Every body looks like
``{"data":[…500 records…],"paging":{"next":"17"}}``; the last one has ``null`` there.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import threading
from collections.abc import Callable

PAGE_SIZE = 500
_PAGES_KEPT = 200
_AFTER = re.compile(rb"[?&]after=(\d+)")


def record(number: int, *, is_odd: bool = False) -> dict[str, object]:
    """One record of about 450 bytes, of the kinds of values that APIs send; an odd one has its date as 31/01/2025 08:07."""
    day, month, minute = number % 28 + 1, number % 12 + 1, number % 60
    created = f"2025-{month:02d}-{day:02d}T08:{minute:02d}:00Z"
    return {
        "id": number,
        "external_id": f"acct-{number:08d}",
        "name": f"Contact number {number} of Müller & Søn",
        "email": f"contact.{number}@mail-{number % 977}.example.com",
        "active": number % 3 != 0,
        "score": round(number % 1000 / 7, 4),
        "balance": (number * 7919) % 100000 / 100,
        "owner": {"id": number % 50, "team": f"team-{number % 9}", "region": "eu-central"},
        "tags": [f"t{number % 11}", f"t{number % 5}", "imported"],
        "note": None,
        "address": f"{number % 400} Example Street, {10000 + number % 80000} Springfield, Germany",
        "phone": f"+49 30 {number % 10000000:07d}",
        "created_at": f"{day:02d}/{month:02d}/2025 08:{minute:02d}" if is_odd else created,
        "updated_at": f"2026-01-{number % 28 + 1:02d}T12:{number % 60:02d}:00Z",
    }


def encode_pages(count: int, *, is_odd: bool = False) -> list[bytes]:
    """The ``data`` lists of ``count`` pages, as compact JSON."""
    pages = []
    for page in range(count):
        rows = [record(page * PAGE_SIZE + at, is_odd=is_odd) for at in range(PAGE_SIZE)]
        pages.append(json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode())
    return pages


class Api:
    """Serves ``records`` records; more than the kept pages hold come around again, with another ``round``.

    Without it they would be the same pages under new cursors, which a client may take for a loop.
    """

    def __init__(self, records: int, *, is_odd: bool = False) -> None:
        self._last = records // PAGE_SIZE - 1
        self._pages = encode_pages(min(self._last + 1, _PAGES_KEPT), is_odd=is_odd)

    def answer(self, request: bytes) -> bytes:
        """The whole response to the head of a request."""
        match = _AFTER.search(request.partition(b"\r\n")[0])
        number = int(match[1]) if match else 0
        following = b"null" if number >= self._last else b'"%d"' % (number + 1)
        turn, kept = divmod(number, len(self._pages))
        data = b'[{"round":%d,%s' % (turn, self._pages[kept][2:])
        tail = b',"paging":{"next":' + following + b"}}"
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        return head % (8 + len(data) + len(tail)) + b'{"data":' + data + tail


def serve(answer: Callable[[bytes], bytes]) -> None:
    """Prints a free port, and answers the heads of requests there until the standard input closes."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    threading.Thread(target=_end_when_closed, daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_serve_client, args=(connection, answer), daemon=True).start()


def _serve_client(connection: socket.socket, answer: Callable[[bytes], bytes]) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    pending = b""
    with connection:
        while received := connection.recv(65536):
            pending += received
            while b"\r\n\r\n" in pending:
                head, _, pending = pending.partition(b"\r\n\r\n")
                connection.sendall(answer(head))


def _end_when_closed() -> None:
    sys.stdin.read()
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    serve(Api(int(sys.argv[1]), is_odd="odd" in sys.argv[2:]).answer)
