"""``POST /auth/token``: user name and password for a token, as Airflow's simple auth manager answers."""

from __future__ import annotations

import hmac

import msgspec

from oauth_taskflow.testing.api import StaticCredentials
from oauth_taskflow.testing.messages import Request, Response, json_response, pairs, problem
from oauth_taskflow.testing.server_state import ServerState


def log_in(
    request: Request, credentials: StaticCredentials, state: ServerState, lifetime: float | None
) -> Response:
    """201 ``{"access_token"}``; the token opens the API like one of the token endpoint's.

    The body is JSON or a form with ``username`` and ``password``.
    """
    if request.method != "POST":
        return problem(405, "POST is needed", allow="POST")
    fields = _fields(request)
    user, password = fields.get("username", ""), fields.get("password", "")
    if user != credentials.username or not hmac.compare_digest(
        password.encode(), credentials.password.encode()
    ):
        return json_response({"detail": "Invalid credentials"}, 401)
    token = state.issue_access_token(client_id="", subject=user, scope="", lifetime=lifetime)
    return json_response({"access_token": token.value}, 201)


def _fields(request: Request) -> dict[str, str]:
    if request.media_type != "application/json":
        return dict(pairs(request.body.decode("utf-8", "replace")))
    try:
        return msgspec.json.decode(request.body, type=dict[str, str])
    except msgspec.DecodeError:
        return {}
