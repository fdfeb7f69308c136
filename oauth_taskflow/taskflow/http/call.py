"""One HTTP call of an operator or trigger: its JSON form, which names a connection, and its execution."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import httpx
import requests
from msgspec.structs import replace

from oauth_taskflow.api.aio.session import AsyncOAuthSession
from oauth_taskflow.connections.settings import ConnectionSettings
from oauth_taskflow.taskflow.connection_lookup import load_settings
from oauth_taskflow.taskflow.sessions import async_session_for


@dataclass(frozen=True)
class HttpCall:
    """A call as ``HttpOperator`` describes it. The secrets stay in the connection ``http_conn_id``.

    ``data`` is the query of a GET and the body of other methods. ``extra_options``: ``timeout`` (seconds),
    ``allow_redirects``, ``max_redirects``, ``check_response``, ``verify``, ``cert``, ``proxies``; ``request_kwargs`` are
    those of ``requests.Request``, such as ``json``.
    """

    http_conn_id: str
    method: str = "GET"
    endpoint: str | None = None
    data: dict[str, Any] | list[Any] | str | None = None
    headers: dict[str, str] | None = None
    extra_options: dict[str, Any] = field(default_factory=dict)
    request_kwargs: dict[str, Any] = field(default_factory=dict)

    def serialize(self) -> dict[str, Any]:
        """The fields by name."""
        return asdict(self)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[OpenCall]:
        """Opens a session for the connection and the options of this call.

        Raises:
            ConnectionConfigError: the connection is missing or wrong.
            TokenStoreError: tokens cannot be kept safely.
        """
        opened = await asyncio.to_thread(self._open_session)
        async with opened.session:
            yield opened

    def _open_session(self) -> OpenCall:
        settings = load_settings(self.http_conn_id)
        options = {**settings.http_options, **self.extra_options}
        session = async_session_for(_merge_options(settings, options))
        session.max_redirects = options.get("max_redirects", session.max_redirects)
        return OpenCall(self, session, options)


@dataclass(frozen=True)
class OpenCall:
    """A call with its session; it can be sent repeatedly."""

    call: HttpCall
    session: AsyncOAuthSession
    options: Mapping[str, Any]

    @property
    def checks_status(self) -> bool:
        """Whether an error status raises."""
        return bool(self.options.get("check_response", True))

    async def send(self) -> httpx.Response:
        """Sends the request and returns its response, whatever the status.

        Raises:
            ApiError: no response after all tries, or a URL of a foreign origin.
            TokenRequestError: the token endpoint gave no token.
        """
        call, session = self.call, self.session
        method = call.method.upper()
        argument = {"GET": "params", "HEAD": None}.get(method, "data")
        described = requests.Request(
            method,
            session.resolve(call.endpoint or ""),
            headers=call.headers,
            **({argument: call.data} if argument and call.data else {}),
            **call.request_kwargs,
        )
        timeout = self.options.get("timeout")
        # Airflow's database returns a pair as a list.
        request = session.convert_request(
            described, tuple(timeout) if isinstance(timeout, list) else timeout
        )
        return await session.send(
            request, follow_redirects=self.options.get("allow_redirects", True)
        )


def _merge_options(settings: ConnectionSettings, options: Mapping[str, Any]) -> ConnectionSettings:
    """``settings`` with the transport options of ``HttpHook``."""
    cert = options.get("cert", settings.cert)
    return replace(
        settings,
        verify=options.get("verify", options.get("verify_ssl", settings.verify)),
        cert=tuple(cert) if isinstance(cert, list) else cert,
        proxies={**settings.proxies, **(options.get("proxies") or options.get("proxy") or {})},
    )
