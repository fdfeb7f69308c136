"""The API in front of the airports, and endpoints that misbehave.

Resources (bearer token of the authorization server required, in the header or as ``access_token=``, RFC 6750 §2.3):

* ``/{style}/airports`` with style ``page``, ``offset``, ``cursor``, ``link``, ``next`` or ``loop`` (see ``paging.py``);
  filters ``country=``, ``updated_since=`` (inclusive), ``updated_before=`` (exclusive).
* ``/countries``: ``{"data": [{"code", "airports"}]}``; ``/countries/{code}/airports``: page style;
  ``/airports/{icao}``: one row.
* ``/bulk/airports?page=&per_page=&total=``: page style, ``total`` rows (default 100,000) of about 450 bytes, made by
  repeating the airports, each with its own ``id`` from 0: for benchmarks.
* ``/scope/{name}``: 200 when the token has that scope, else 403 ``insufficient_scope``.

``/with/{kind}`` before any of them requires other credentials, which the server names: ``bearer`` (a static token),
``api_key`` (header ``X-Api-Key``), ``basic``, ``none``; ``path`` requires the API key as the next segment of the path.

Without credentials: ``/echo`` (any method; answers what it received), ``/redirect/same`` and ``/redirect/other`` (to
``/echo`` here and at another origin of this server; ``status=`` 302), ``/redirect/loop``, ``/flaky/{status}``
(``times=1`` answers of that status per ``key=``, with ``retry_after=`` if given, then 200 ``{"attempts": n}``).
"""

from __future__ import annotations

import base64
import threading
from dataclasses import dataclass, field
from urllib.parse import unquote

from oauth_taskflow.testing import dataset
from oauth_taskflow.testing.messages import Request, Response, json_response, problem
from oauth_taskflow.testing.paging import STYLES, BadParameter, PageRequest, serve_pages
from oauth_taskflow.testing.server_state import AccessToken, ServerState


@dataclass(frozen=True)
class StaticCredentials:
    """The credentials for ``/with/...``; ``username`` and ``password`` also log in at ``/auth/token``."""

    bearer: str = field(default="static-bearer-token", repr=False)
    api_key: str = field(default="static-api-key", repr=False)
    username: str = "admin"
    password: str = field(default="static-password", repr=False)

    def header_for(self, kind: str) -> tuple[str, str] | None:
        """Name and value of the header that ``kind`` needs; None for an unknown kind."""
        pair = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        return {
            "bearer": ("Authorization", f"Bearer {self.bearer}"),
            "api_key": ("X-Api-Key", self.api_key),
            "basic": ("Authorization", f"Basic {pair}"),
        }.get(kind)


class AirportApi:
    """Answers requests to the resources; ``origin`` and ``foreign`` are two origins of the same server."""

    def __init__(
        self, state: ServerState, credentials: StaticCredentials, origin: str, foreign: str
    ) -> None:
        self._state = state
        self._credentials = credentials
        self._origin = origin
        self._foreign = foreign
        self._lock = threading.Lock()
        self._attempts: dict[tuple[str, str], int] = {}

    def respond(self, request: Request) -> Response:
        """The response to ``request``; 404 for an unknown resource."""
        parts = [unquote(part) for part in request.path.strip("/").split("/")]
        try:
            return self._open(parts, request) or self._respond_protected(parts, request)
        except BadParameter as wrong:
            return problem(400, str(wrong))

    def _open(self, parts: list[str], request: Request) -> Response | None:
        """The answer of the endpoints that ask for no credentials; None for all others."""
        match parts:
            case ["echo"]:
                return _echo(request)
            case ["redirect", where]:
                return self._redirect(where, request)
            case ["flaky", status]:
                return self._flaky(status, request)
        return None

    def _respond_protected(self, parts: list[str], request: Request) -> Response:
        token: AccessToken | None = None
        if parts[0] == "with" and len(parts) > 1:
            kind, parts = parts[1], parts[2:]
            if kind == "path" and parts[:1] == [self._credentials.api_key]:
                kind, parts = "none", parts[1:]
            refusal = self._check_static(kind, request)
        else:
            scheme, _, value = request.headers.get("Authorization", "").partition(" ")
            value = value or request.params.get("access_token", "")
            known = scheme.lower() in {"bearer", ""}
            token = self._state.access_token(value) if known else None
            refusal = None if token else _challenge(given=bool(value))
        if refusal:
            return refusal
        if request.method not in {"GET", "HEAD"}:
            return problem(405, "this API is for reading", allow="GET, HEAD")
        return self._resource(parts, request, token)

    def _check_static(self, kind: str, request: Request) -> Response | None:
        if kind == "none":
            return None
        required = self._credentials.header_for(kind)
        if required is None:
            return problem(404, f"no such kind of credentials: {kind}")
        name, value = required
        return None if request.headers.get(name) == value else _challenge(given=True)

    def _resource(self, parts: list[str], request: Request, token: AccessToken | None) -> Response:
        match parts:
            case [style, "airports"] if style in STYLES:
                return STYLES[style](self._page_request(request))
            case ["countries"]:
                return Response(body=b'{"data":' + dataset.countries() + b"}")
            case ["countries", code, "airports"]:
                return serve_pages(self._page_request(request, code))
            case ["airports", icao]:
                row = dataset.airports().one(icao)
                return Response(body=row) if row else problem(404, f"no airport {icao}")
            case ["scope", name]:
                return _check_scope(name, token)
        return problem(404, "no such resource")

    def _page_request(self, request: Request, country: str = "") -> PageRequest:
        params = request.params
        rows = dataset.select(
            country or params.get("country", ""),
            _time(params, "updated_since"),
            _time(params, "updated_before"),
        )
        return PageRequest(request, rows, self._origin, self._foreign)

    def _redirect(self, where: str, request: Request) -> Response:
        status = _number(request.params.get("status", "302"), "status")
        target = {
            "same": "/echo",
            "other": f"{self._foreign}/echo",
            "loop": "/redirect/loop",
        }.get(where)
        if target is None:
            return problem(404, "no such redirect")
        return Response(status, b"", (("Location", target),))

    def _flaky(self, status: str, request: Request) -> Response:
        params = request.params
        key = (status, params.get("key", ""))
        with self._lock:
            attempts = self._attempts[key] = self._attempts.get(key, 0) + 1
        if attempts > _number(params.get("times", "1"), "times"):
            return json_response({"attempts": attempts})
        wait = {"retry_after": params["retry_after"]} if "retry_after" in params else {}
        return problem(_number(status, "status"), f"attempt {attempts} fails", **wait)


def _number(text: str, name: str) -> int:
    if not text.isdecimal():
        raise BadParameter(f"{name} must be a whole number, not {text!r}")
    return int(text)


def _time(params: dict[str, str], name: str) -> str:
    if name not in params:
        return ""
    try:
        return dataset.canonical_time(params[name])
    except ValueError:
        raise BadParameter(f"{name} must be a date or time, not {params[name]!r}") from None


def _challenge(*, given: bool) -> Response:
    """RFC 6750 §3.1: no error code when no credentials were sent."""
    challenge = 'Bearer realm="airports"'
    if given:
        challenge += ', error="invalid_token", error_description="expired, revoked or unknown"'
    return problem(401, "a valid access token is needed", www_authenticate=challenge)


def _check_scope(name: str, token: AccessToken | None) -> Response:
    if token and name in token.scope.split():
        return json_response({"scope": token.scope})
    challenge = f'Bearer error="insufficient_scope", scope="{name}"'
    return problem(403, f"scope {name} is needed", www_authenticate=challenge)


def _echo(request: Request) -> Response:
    return json_response(
        {
            "method": request.method,
            "path": request.path,
            "query": request.query,
            "headers": dict(request.headers),
            "body": request.body.decode("utf-8", "replace"),
        }
    )
