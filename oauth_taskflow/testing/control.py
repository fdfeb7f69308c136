"""Control of the server by other processes over HTTP: paths below ``/_``, without authentication and log.

* ``GET /_log`` → list of requests (fields of ``LoggedRequest``); ``DELETE /_log`` forgets them.
* ``GET /_counters`` → fields of ``Counters``.
* ``POST /_refresh_token`` → ``{"refresh_token"}`` of a new family; body ``{"client_id", "scope", "subject"}``, all optional.
* ``POST /_revoke_access_tokens`` → ``{"revoked": n}``.
* ``POST /_fault`` with the fields of ``Fault``.
* ``POST /_connection`` with overrides → the Airflow connection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from oauth_taskflow.testing.faults import Fault
from oauth_taskflow.testing.messages import Request, Response, json_response, problem

if TYPE_CHECKING:
    from oauth_taskflow.testing.server import OAuthTestServer


class _Grantee(msgspec.Struct, forbid_unknown_fields=True):
    client_id: str | None = None
    scope: str | None = None
    subject: str = "user"


def control(server: OAuthTestServer, request: Request) -> Response:
    """The answer to a request below ``/_``."""
    action = _ACTIONS.get((request.method, request.path))
    if action is None:
        return problem(404, "no such control; see oauth_taskflow.testing.control")
    try:
        return json_response(action(server, request.body or b"{}"))
    except (msgspec.DecodeError, TypeError) as wrong:
        return problem(400, str(wrong))


def _log(server: OAuthTestServer, _body: bytes) -> object:
    return server.requests


def _clear_log(server: OAuthTestServer, _body: bytes) -> object:
    server.clear_log()
    return {}


def _counters(server: OAuthTestServer, _body: bytes) -> object:
    return server.counters


def _refresh_token(server: OAuthTestServer, body: bytes) -> object:
    who = msgspec.json.decode(body, type=_Grantee)
    return {"refresh_token": server.issue_refresh_token(who.client_id, who.scope, who.subject)}


def _revoke_access_tokens(server: OAuthTestServer, _body: bytes) -> object:
    return {"revoked": server.revoke_access_tokens()}


def _fault(server: OAuthTestServer, body: bytes) -> object:
    server.faults.add(msgspec.json.decode(body, type=Fault))
    return {}


def _connection(server: OAuthTestServer, body: bytes) -> object:
    return server.connection(**msgspec.json.decode(body, type=dict[str, object]))


_ACTIONS: dict[tuple[str, str], Callable[[OAuthTestServer, bytes], object]] = {
    ("GET", "/_log"): _log,
    ("DELETE", "/_log"): _clear_log,
    ("GET", "/_counters"): _counters,
    ("POST", "/_refresh_token"): _refresh_token,
    ("POST", "/_revoke_access_tokens"): _revoke_access_tokens,
    ("POST", "/_fault"): _fault,
    ("POST", "/_connection"): _connection,
}
