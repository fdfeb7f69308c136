"""The HTTP transport of a session: each response has a deadline, and incomplete headers are an error.

A read time-out restarts with every byte, so a server that sends one byte a second is never timed out. The deadline here
covers the whole response. ``http.client`` accepts the end of the connection as the end of the headers, and returns an
empty response.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from http.client import HTTPResponse
from ssl import SSLError
from typing import Any, cast

import requests
from requests.adapters import HTTPAdapter
from urllib3 import ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from oauth_taskflow.api.network_errors import too_slow_error
from oauth_taskflow.api.rate_limit import Permit
from oauth_taskflow.api.response import ApiResponse
from oauth_taskflow.api.response_limits import AnswerLimits, Deadline, get_limits, set_limits

_deadline: ContextVar[Deadline | None] = ContextVar("oauth_taskflow_deadline", default=None)
_permits: ContextVar[list[Permit]] = ContextVar("oauth_taskflow_permits")
# As for ``socket.setsockopt``: level, option and value.
SocketOptions = Sequence[tuple[int, int, int | bytes]]


class _TimedReader(io.RawIOBase):
    """A reader of a socket in which each read ends at the deadline."""

    def __init__(self, raw: Any, sock: Any, deadline: Deadline) -> None:
        self._raw, self._sock, self._deadline = raw, sock, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> Any:
        try:
            return self._read(buffer)
        except SSLError as error:  # after the handshake it says nothing about a certificate
            raise ConnectionAbortedError(errno.ECONNABORTED, str(error)) from error

    def _read(self, buffer: Any) -> Any:
        left, usual = self._deadline.seconds_left(), self._sock.gettimeout()
        if left is None or (usual is not None and usual < left):
            return self._raw.readinto(buffer)
        if left <= 0:
            raise TimeoutError
        self._sock.settimeout(left)
        try:
            return self._raw.readinto(buffer)
        finally:
            self._sock.settimeout(usual)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Lines(io.BufferedReader):
    """A reader that raises when the connection ends within a line, which ``http.client`` would accept."""

    in_headers = False

    def readline(self, size: int | None = -1) -> bytes:
        line = super().readline(size)
        if not line.endswith(b"\n") and len(line) != size and (line or self.in_headers):
            raise ConnectionAbortedError(errno.ECONNABORTED, "the answer was cut off")
        return line


class _TimedResponse(HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        deadline = _deadline.get() or Deadline(None)
        self._lines = _Lines(_TimedReader(self.fp.detach(), sock, deadline))
        self.fp = self._lines

    def _read_status(self) -> Any:
        # http.client itself reports a connection that was closed between two requests.
        status = super()._read_status()  # type: ignore[misc]  # private, and the only step between status and headers
        self._lines.in_headers = True
        return status

    def begin(self) -> None:
        super().begin()
        self._lines.in_headers = False


class _Connection(HTTPConnection):
    response_class = _TimedResponse

    def request(self, *args: Any, **kwargs: Any) -> None:
        permit = _confirm_permit(self)
        super().request(*args, **kwargs)
        if permit is not None:
            permit.note_written()


class _SecureConnection(HTTPSConnection):
    response_class = _TimedResponse

    def request(self, *args: Any, **kwargs: Any) -> None:
        permit = _confirm_permit(self)
        super().request(*args, **kwargs)
        if permit is not None:
            permit.note_written()


def _confirm_permit(connection: HTTPConnection) -> Permit | None:
    """Open the connection, and then wait until the request may be written."""
    permits = _permits.get(None)
    if not permits:
        return None
    permit = permits.pop()  # a response hook may send other requests
    if connection.sock is None:
        connection.connect()
    if permit.confirm():
        if not connection.is_connected and connection.proxy is None:
            connection.close()  # by the server, which saw no request for too long
            connection.connect()
            permit.confirm()
        deadline = _deadline.get()
        if deadline is not None:
            deadline.restart()
    return permit


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


_POOLS = {"http": _Pool, "https": _SecurePool}


class BoundedAdapter(HTTPAdapter):
    """An adapter that returns ``ApiResponse`` objects with ``limits``, else with the limits of their request.

    ``socket_options`` are set on each socket, also of connections to a proxy; None leaves those of urllib3.
    """

    def __init__(
        self,
        *,
        limits: AnswerLimits | None = None,
        socket_options: SocketOptions | None = None,
    ) -> None:
        self._limits = limits
        self._of_pools: dict[str, Any] = {}
        if socket_options is not None:
            self._of_pools["socket_options"] = socket_options
        super().__init__(pool_connections=4, pool_maxsize=32)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """As in ``requests``, with connections that observe the deadline."""
        kwargs.update(self._of_pools)
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """As in ``requests``; a SOCKS proxy uses other connections, which have only the read time-out."""
        kwargs.update(self._of_pools)
        manager = super().proxy_manager_for(proxy, **kwargs)
        if type(manager) is ProxyManager:
            manager.pool_classes_by_scheme = _POOLS
        return manager

    def send(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        """As in ``requests``; returns when the headers have arrived.

        Raises:
            ApiTimeout: they took longer than a whole response may.
        """
        if self._limits is not None:
            set_limits(request, self._limits)
        deadline = Deadline(get_limits(request).seconds)
        try:
            with _ValueInBlock(_deadline, deadline):
                return super().send(request, *args, **kwargs)
        except requests.RequestException:
            if deadline.is_over:
                raise too_slow_error(request, get_limits(request)) from None
            raise

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:
        """An ``ApiResponse`` with the limits of ``req`` and the deadline of the request that is being sent."""
        built = super().build_response(req, resp)
        built.__class__ = ApiResponse
        response = cast("ApiResponse", built)
        response.deadline = _deadline.get()
        return response


class _ValueInBlock:
    """Sets ``variable`` to ``value`` within a block. A generator would take twice as long, and every request passes two."""

    __slots__ = ("_before", "_value", "_variable")

    def __init__(self, variable: ContextVar[Any], value: Any) -> None:
        self._variable, self._value = variable, value

    def __enter__(self) -> None:
        self._before = self._variable.set(self._value)

    def __exit__(self, *_: object) -> None:
        self._variable.reset(self._before)


def send_with(permit: Permit | None) -> AbstractContextManager[None]:
    """Let ``permit`` be confirmed when the request that is sent in this block is written."""
    return _ValueInBlock(_permits, [] if permit is None else [permit])
