"""A loopback API that takes its time: every answer comes ``latency`` seconds after its request.

Started by ``waiting.py`` as a separate process with the latency in milliseconds, the number of pages, the number of parents
and the most requests at once, above which it answers 429. Prints its port, and serves until its standard input closes:

- ``GET /pages?page=N&limit=100``: pages of 100 records; an empty list behind the last one.
- ``GET /parents``: all parents; ``GET /parents/N/children``: two records of parent N.
- ``GET /counts``: how many requests came, how many were refused and how many ran at once, at most.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time

from api_server import record, serve

PAGE_SIZE = 100
_PAGE = re.compile(r"/pages\?.*?page=(\d+)")
_CHILDREN = re.compile(r"/parents/(\d+)/children")


class Api:
    """Answers the requests of the module's text."""

    def __init__(self, latency: float, pages: int, parents: int, most: int) -> None:
        self._latency, self._most = latency, most
        self._running = self._peak = self._count = self._refused = 0
        self._lock = threading.Lock()
        size = range(PAGE_SIZE)
        self._pages = [
            _encode({"data": [record(page * PAGE_SIZE + at) for at in size]})
            for page in range(pages)
        ]
        self._parents = _encode({"data": [{"id": number} for number in range(parents)]})
        self._nothing = _encode({"data": []})

    def answer(self, head: bytes) -> bytes:
        """The whole response to the head of a request."""
        target = head.split(b" ", 2)[1].decode()
        if target == "/counts":
            counts = {"count": self._count, "refused": self._refused, "peak": self._peak}
            return _response(_encode(counts))
        with self._lock:
            self._count += 1
            self._running += 1
            self._peak = max(self._peak, self._running)
            is_refused = self._running > self._most
            self._refused += is_refused
        time.sleep(self._latency)
        with self._lock:
            self._running -= 1
        return _response(b"{}", b"429 Too Many Requests") if is_refused else self._found(target)

    def _found(self, target: str) -> bytes:
        page, children = _PAGE.search(target), _CHILDREN.match(target)
        if page:
            index = int(page[1]) - 1
            return _response(self._pages[index] if index < len(self._pages) else self._nothing)
        if children:
            number = int(children[1])
            return _response(_encode({"data": [record(2 * number), record(2 * number + 1)]}))
        return _response(self._parents)


def _encode(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _response(body: bytes, status: bytes = b"200 OK") -> bytes:
    head = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body


if __name__ == "__main__":
    milliseconds, how_many_pages, how_many_parents, at_once = map(int, sys.argv[1:5])
    serve(Api(milliseconds / 1000, how_many_pages, how_many_parents, at_once).answer)
