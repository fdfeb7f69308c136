"""The right to send is confirmed right before a request is written: over TLS, through a proxy and through a tunnel."""

from __future__ import annotations

import asyncio
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.api import adapter
from oauth_taskflow.api.aio.session import AsyncOAuthSession
from oauth_taskflow.api.response_limits import Deadline
from oauth_taskflow.api.session import OAuthSession
from tests.api.scripted import Reply, Sources, scripted
from tests.oauth.raw_server import raw_server, read_request, self_signed

Log = list[str]


class LoggedGate:
    """A gate that is always open, and finds itself; it logs when a right is confirmed and when the request was written."""

    waited = 0.0

    def __init__(self, log: Log) -> None:
        self._log = log

    def find_gate(self, _url: str) -> Any:
        return self

    def enter(self) -> Any:
        return self

    acquire = enter

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def poll(self) -> float:
        return 0.0

    @property
    def permit(self) -> Any:
        return self

    def is_current(self) -> bool:
        self._log.append("confirmed")
        return True

    def confirm(self) -> float:
        self._log.append("confirmed")
        return 0.0

    def note_written(self) -> None:
        self._log.append("written")

    def hold(self, seconds: float) -> None:
        raise AssertionError(seconds)

    def observe(self, headers: Any) -> None:
        assert headers


class Handler(BaseHTTPRequestHandler):
    """Answers as API and as proxy, and logs each request."""

    protocol_version = "HTTP/1.1"
    log: Log

    def do_GET(self) -> None:
        self.log.append(f"GET {self.path.rpartition('/')[2]}")
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def do_CONNECT(self) -> None:
        self.log.append("CONNECT")
        host, port = self.path.split(":")
        with socket.create_connection((host, int(port))) as other:
            self.send_response(200)
            self.end_headers()
            _pump(self.connection, other)
        self.close_connection = True

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


def _pump(one: socket.socket, other: socket.socket) -> None:
    ends = {one: other, other: one}
    while True:
        for ready in select.select([one, other], [], [])[0]:
            part = ready.recv(65_536)
            if not part:
                return
            ends[ready].sendall(part)


@contextmanager
def serving(log: Log, context: Any = None) -> Iterator[int]:
    handler = type("Logged", (Handler,), {"log": log})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def read_sync(url: str, gate: LoggedGate, options: dict[str, Any]) -> None:
    with OAuthSession(url, Sources(), budgets=gate, **options) as session:
        for path in ("/a", "/b"):
            session.get(path).raise_for_status()


def read_async(url: str, gate: LoggedGate, options: dict[str, Any]) -> None:
    async def talk() -> None:
        async with AsyncOAuthSession(url, Sources(), budgets=gate, **options) as session:
            for path in ("/a", "/b"):
                (await session.get(path)).raise_for_status()

    asyncio.run(talk())


@pytest.mark.parametrize("read", [read_sync, read_async], ids=["sync", "async"])
@pytest.mark.parametrize("way", ["tls", "proxy", "tunnel"])
def test_each_request_is_confirmed_once_right_before_it_is_written(
    way: str, read: Callable[..., None], tmp_path: Path
) -> None:
    log: Log = []
    context, ca = self_signed(tmp_path)
    with serving(log, None if way == "proxy" else context) as port, serving(log) as proxy:
        scheme = "http" if way == "proxy" else "https"
        options: dict[str, Any] = {"verify": str(ca)}
        if way != "tls":
            options["proxies"] = {scheme: f"http://127.0.0.1:{proxy}"}
        read(f"{scheme}://127.0.0.1:{port}", LoggedGate(log), options)
    # A server may be quicker than the note of its client.
    order = [event for event in log if event != "written"]
    begin = ["CONNECT"] if way == "tunnel" else []
    assert order == [*begin, "confirmed", "GET a", "confirmed", "GET b"]
    assert log.count("written") == 2
    assert all(
        log[: at + 1].count("confirmed") > log[:at].count("written")
        for at, event in enumerate(log)
        if event == "written"
    )


class SlowGate(LoggedGate):
    """A gate whose right has passed when the request is due, so that the next one is waited for."""

    def __init__(self, log: Log, wait: Callable[[], object]) -> None:
        super().__init__(log)
        self._wait = wait

    def confirm(self) -> float:
        self._log.append("confirmed")
        if self._log.count("confirmed") != 2:
            return 0.0
        self._wait()
        return 9.0


def test_a_connection_that_the_server_closed_meanwhile_is_opened_again() -> None:
    # A POST is not sent twice, so that nothing else would mend it.
    log: Log = []
    received: list[bytes] = []
    may_close, closed = threading.Event(), threading.Event()

    def serve(connection: socket.socket) -> None:
        received.append(read_request(connection))
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        if len(received) == 1:
            may_close.wait(120)
            connection.shutdown(socket.SHUT_RDWR)
            closed.set()

    def wait() -> None:
        may_close.set()
        closed.wait(120)

    gate = SlowGate(log, wait)
    with (
        raw_server(serve) as place,
        OAuthSession(f"http://{place}", Sources(), budgets=gate) as session,
    ):
        for path in ("/a", "/b"):
            assert session.post(path, data=b"x").json() == {}
    assert [line.split()[1] for line in received] == [b"/a", b"/b"]
    assert log == ["confirmed", "written", "confirmed", "confirmed", "written"]


def test_waiting_for_the_right_does_not_count_as_waiting_for_the_answer() -> None:
    log: Log = []
    waited: list[Deadline] = []

    def wait() -> None:
        deadline = adapter._deadline.get()
        assert deadline is not None
        deadline._end = (
            time.monotonic() - 1
        )  # as if the wait had been longer than an answer may take
        waited.append(deadline)

    gate = SlowGate(log, wait)
    with (
        serving(log) as port,
        OAuthSession(f"http://127.0.0.1:{port}", Sources(), budgets=gate) as session,
    ):
        for path in ("/a", "/b"):
            assert session.get(path).json() == {}
    assert [deadline.is_over for deadline in waited] == [False]


@pytest.mark.parametrize("read", [read_sync, read_async], ids=["sync", "async"])
def test_a_hop_to_another_origin_spends_no_budget(read: Callable[..., None]) -> None:
    log: Log = []
    with scripted(lambda _: {}) as other:
        moved = Reply({}, 302, {"Location": f"{other.url}/x"})
        with scripted(lambda _: moved) as api:
            read(api.url, LoggedGate(log), {"foreign_redirects": "bare"})
    asked = [[one.path for one in server.asked] for server in (api, other)]
    assert asked == [["/a", "/b"], ["/x", "/x"]]
    assert log == ["confirmed", "written"] * 2


def test_an_author_may_trace_a_request_that_waits_for_its_right() -> None:
    log: Log = []
    traced: list[str] = []

    async def trace(event: str, _: Any) -> None:
        traced.append(event)

    async def talk(url: str) -> int:
        async with AsyncOAuthSession(url, Sources(), budgets=LoggedGate(log)) as session:
            return (await session.get("/a", extensions={"trace": trace})).status_code

    with serving(log) as port:
        assert asyncio.run(talk(f"http://127.0.0.1:{port}")) == 200
    assert "http11.send_request_headers.started" in traced
    assert "confirmed" in log
