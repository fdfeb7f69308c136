"""HTTP for one token request: it is sent at most once, and afterwards it is known whether it was sent.

``requests`` alone repeats, follows redirects, reads ``.netrc``, keeps cookies, and does not distinguish a failure before
the request left from one after it. For a single-use refresh token that difference decides everything.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import requests
from msgspec import Struct, field
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.retry import Retry


def always() -> bool:
    """Permits every request."""
    return True


class Wire(Struct):
    """Records what happened on the wire during one exchange, and ends the exchange after ``seconds``.

    ``may_send`` is asked just before the request leaves.
    """

    seconds: float
    may_send: Callable[[], bool] = always
    sent: bool = False
    expired: bool = False
    connections: list[HTTPConnection] = field(default_factory=list)
    began: tuple[float, float] = field(default_factory=lambda: (time.monotonic(), time.time()))

    def about_to_send(self) -> None:
        """Note that the request leaves now, unless its time is up or it may not any more.

        A process that stood still must not send late.

        The wall clock counts too, because the monotonic one stops while a machine sleeps.
        """
        monotonic, wall = self.began
        late = max(time.monotonic() - monotonic, time.time() - wall) > self.seconds
        if not self.sent and (late or not self.may_send()):
            self.expired = True
            raise TimeoutError
        self.sent = True

    def cut(self) -> None:
        """Shut the sockets down; a blocked read in the exchanging thread then ends."""
        self.expired = True
        for connection in self.connections:
            sock = connection.sock
            if sock is not None:
                _shut(sock)


def _shut(sock: Any) -> None:
    try:
        sock.shutdown(2)
    except OSError:
        return  # not connected any more: nothing left to end


_C = TypeVar("_C", bound=HTTPConnection)


def _watch(base: type[_C], wire: Wire) -> type[_C]:
    """``base`` as a class whose connections report to ``wire``."""

    class Watched(base):  # type: ignore[valid-type, misc]  # one body for both schemes
        def connect(self) -> None:
            wire.connections.append(self)
            try:
                super().connect()
            finally:
                wire.sent = False  # a proxy's CONNECT or a TLS handshake is not our request

        def send(self, data: Any) -> None:
            if self.sock is None:
                self.connect()
            wire.about_to_send()
            super().send(data)

    return Watched


def _pools(wire: Wire) -> dict[str, type[HTTPConnectionPool]]:
    class Pool(HTTPConnectionPool):
        ConnectionCls = _watch(HTTPConnection, wire)

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = _watch(HTTPSConnection, wire)

    return {"http": Pool, "https": SecurePool}


class _WatchedAdapter(HTTPAdapter):
    def __init__(self, wire: Wire) -> None:
        self._pool_classes = _pools(wire)
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=Retry(0, read=False))

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pool_classes

    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = self._pool_classes
        return manager


class Deadline:
    """Cuts the wire when its time is up, however slowly bytes drip in; a context manager around the exchange."""

    def __init__(self, wire: Wire) -> None:
        self._timer = threading.Timer(wire.seconds, wire.cut)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *exc: object) -> None:
        self._timer.cancel()


def new_session(wire: Wire) -> requests.Session:
    """A session for one exchange: no environment (``.netrc``, proxies), no retries, no kept connections."""
    session = requests.Session()
    session.trust_env = False
    adapter = _WatchedAdapter(wire)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    return session
