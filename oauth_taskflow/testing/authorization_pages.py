"""The endpoints of a login by a person: authorization, pushed requests and device codes, with Authlib's rules.

* ``GET /oauth/authorize`` agrees at once (``decision`` changes that) and redirects with ``code``, ``state`` and ``iss``
  (RFC 9207). PKCE with S256 is required of every client (RFC 9700 §2.1.1). With ``response_mode=form_post`` a page posts
  them (OAuth 2.0 Form Post Response Mode).
* ``POST /oauth/par`` keeps a request for its reference (RFC 9126); with ``par_required`` nothing else is accepted.
* ``POST /oauth/device`` hands out codes (RFC 8628); ``GET /device?user_code=…`` is the person who decides.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, replace
from html import escape
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit

from authlib.oauth2.rfc6749 import InvalidRequestError, OAuth2Error
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc8628 import DeviceAuthorizationEndpoint, DeviceCodeGrant

from oauth_taskflow.clock import Clock
from oauth_taskflow.testing.authorization import METHODS, ParsedRequest, TokenServer, parse_fields
from oauth_taskflow.testing.messages import Request, Response, json_response, problem

AUTHORIZE_PATH = "/oauth/authorize"
PAR_PATH = "/oauth/par"
DEVICE_PATH = "/oauth/device"
VERIFICATION_PATH = "/device"
_REFERENCE_SECONDS = 60.0
_CODE_SECONDS = 60.0


@dataclass(frozen=True)
class _Code:
    """An authorization code as Authlib asks about it; ``device_code`` grants look the same."""

    value: str
    client_id: str
    redirect_uri: str
    scope: str
    subject: str
    code_challenge: str | None
    code_challenge_method: str | None
    until: float

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope


@dataclass
class _Device:
    """A device code; ``agreed`` None until the person decided."""

    client_id: str
    scope: str
    user_code: str
    until: float
    interval: float
    clock: Clock
    agreed: bool | None = None
    asked_at: float = 0.0

    def get_client_id(self) -> str:
        return self.client_id

    def get_scope(self) -> str:
        return self.scope

    def get_user_code(self) -> str:
        return self.user_code

    def is_expired(self) -> bool:
        return self.clock.now() >= self.until


class _Challenge(CodeChallenge):  # type: ignore[misc]  # Authlib ships no types
    """S256 and nothing else, for confidential clients too."""

    SUPPORTED_CODE_CHALLENGE_METHOD: ClassVar = ["S256"]

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        data = grant.request.payload.data
        if "code_challenge" not in data or data.get("code_challenge_method") != "S256":
            raise InvalidRequestError("PKCE with S256 is required.")
        super().validate_code_challenge(grant, redirect_uri)


class _CodeGrant(AuthorizationCodeGrant):  # type: ignore[misc]  # Authlib ships no types
    TOKEN_ENDPOINT_AUTH_METHODS: ClassVar = list(METHODS)

    def save_authorization_code(self, code: str, request: Any) -> None:
        data, desk = request.payload.data, self.server.desk
        desk.codes[code] = _Code(
            code,
            request.client.client.client_id,
            data.get("redirect_uri", ""),
            request.scope or "",
            request.user,
            data.get("code_challenge"),
            data.get("code_challenge_method"),
            desk.clock.now() + _CODE_SECONDS,
        )

    def query_authorization_code(self, code: str, view: Any) -> _Code | None:
        found: _Code | None = self.server.desk.codes.get(code)
        if found is None or found.until <= self.server.desk.clock.now():
            return None
        return found if found.client_id == view.client.client_id else None

    def delete_authorization_code(self, code: _Code) -> None:
        del self.server.desk.codes[code.value]

    def authenticate_user(self, code: _Code) -> str:
        return code.subject


class _DeviceGrant(DeviceCodeGrant):  # type: ignore[misc]  # Authlib ships no types
    TOKEN_ENDPOINT_AUTH_METHODS: ClassVar = list(METHODS)

    def query_device_credential(self, device_code: str) -> _Device | None:
        found: _Device | None = self.server.desk.devices.get(device_code)
        return found

    def query_user_grant(self, user_code: str) -> tuple[str, bool] | None:
        devices = self.server.desk.devices.values()
        device = next(device for device in devices if device.user_code == user_code)
        return None if device.agreed is None else ("user", device.agreed)

    def should_slow_down(self, device: _Device) -> bool:
        """Whether the client polls faster than its interval allows (RFC 8628 §3.5)."""
        now, device.asked_at, before = device.clock.now(), device.clock.now(), device.asked_at
        return now - before < device.interval * 0.9


class _DeviceEndpoint(DeviceAuthorizationEndpoint):  # type: ignore[misc]  # Authlib ships no types
    CLIENT_AUTH_METHODS: ClassVar = list(METHODS)

    @property
    def INTERVAL(self) -> float:  # noqa: N802  # Authlib's name
        return float(self.server.desk.device_interval)

    @property
    def EXPIRES_IN(self) -> float:  # noqa: N802  # Authlib's name
        return float(self.server.desk.device_lifetime)

    def get_verification_uri(self) -> str:
        return str(self.server.desk.origin + VERIFICATION_PATH)

    def save_device_credential(self, client_id: str, scope: str, data: dict[str, Any]) -> None:
        desk = self.server.desk
        until = desk.clock.now() + data["expires_in"]
        desk.devices[data["device_code"]] = _Device(
            client_id, scope or "", data["user_code"], until, data["interval"], desk.clock
        )


class ConsentDesk:
    """The endpoints a login needs, on top of a token server.

    ``decision``: ``agree``, ``refuse`` or ``ignore`` (the page stays and nothing happens). ``issuer`` is what the
    answer calls itself; empty: it does not. ``device_interval`` and ``device_lifetime`` are seconds.
    """

    def __init__(self, tokens: TokenServer, origin: str, clock: Clock) -> None:
        self.origin = origin
        self.issuer = origin
        self.decision = "agree"
        self.par_required = False
        self.device_interval = 5.0
        self.device_lifetime = 600.0
        self.clock = clock
        self.codes: dict[str, _Code] = {}
        self.devices: dict[str, _Device] = {}
        self._pushed: dict[str, tuple[dict[str, str], float]] = {}
        self._lock = threading.Lock()
        self._tokens = tokens
        tokens.desk = self
        tokens.register_grant(_CodeGrant, [_Challenge(required=True)])
        tokens.register_grant(_DeviceGrant)
        tokens.register_endpoint(_DeviceEndpoint)

    def respond(self, request: Request) -> Response | None:
        """The answer to a request of one of these endpoints; None for other paths."""
        answer = {
            ("GET", AUTHORIZE_PATH): self._authorize,
            ("POST", PAR_PATH): self._push,
            ("POST", DEVICE_PATH): self._device,
            ("GET", VERIFICATION_PATH): self._verify,
        }.get((request.method, request.path))
        return None if answer is None else answer(request)

    def metadata(self) -> dict[str, object]:
        """The RFC 8414 metadata of these endpoints."""
        return {
            "authorization_endpoint": self.origin + AUTHORIZE_PATH,
            "pushed_authorization_request_endpoint": self.origin + PAR_PATH,
            "require_pushed_authorization_requests": self.par_required,
            "device_authorization_endpoint": self.origin + DEVICE_PATH,
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": bool(self.issuer),
            "response_types_supported": ["code"],
        }

    def _authorize(self, request: Request) -> Response:
        fields = request.params
        if "request_uri" in fields:
            found = self._take_pushed_request(fields)
            if found is None:
                return problem(400, "unknown or used request_uri")
            fields = found
        elif self.par_required:
            return problem(400, "a pushed authorization request is required")
        if self.decision == "ignore":
            return Response(200, b"<h1>Do you agree?</h1>", (("Content-Type", "text/html"),))
        user = "user" if self.decision == "agree" else None
        parsed = ParsedRequest(request, fields)
        try:
            grant = self._tokens.get_authorization_grant(parsed)
        except OAuth2Error as error:
            return problem(400, error.error)
        answer: Response = self._tokens.create_authorization_response(parsed, user, grant)
        answer = self._add_issuer(answer)
        return _post_answer(answer) if fields.get("response_mode") == "form_post" else answer

    def _add_issuer(self, answer: Response) -> Response:
        """``answer`` with ``iss``, errors included (RFC 9207 §2)."""
        headers = dict(answer.headers)
        if "Location" not in headers or not self.issuer:
            return answer
        joint = "&" if urlsplit(headers["Location"]).query else "?"
        headers["Location"] += joint + urlencode({"iss": self.issuer})
        return replace(answer, headers=tuple(headers.items()))

    def _push(self, request: Request) -> Response:
        fields = parse_fields(request)
        if isinstance(fields, str):
            return json_response({"error": "invalid_request", "error_description": fields}, 400)
        try:
            self._tokens.authenticate_client(ParsedRequest(request, fields), METHODS, "par")
        except OAuth2Error as error:
            return json_response({"error": error.error}, error.status_code)
        reference = f"urn:ietf:params:oauth:request_uri:{secrets.token_urlsafe(16)}"
        kept = {name: value for name, value in fields.items() if name != "client_secret"}
        with self._lock:
            self._pushed[reference] = kept, self.clock.now() + _REFERENCE_SECONDS
        answer = {"request_uri": reference, "expires_in": int(_REFERENCE_SECONDS)}
        return json_response(answer, 201)

    def _take_pushed_request(self, fields: dict[str, str]) -> dict[str, str] | None:
        """The request of a reference, which works once and only for the client that pushed it."""
        with self._lock:
            found, until = self._pushed.pop(fields["request_uri"], ({}, 0.0))
        if until <= self.clock.now() or found.get("client_id") != fields.get("client_id"):
            return None
        return found

    def _device(self, request: Request) -> Response:
        fields = parse_fields(request)
        if isinstance(fields, str):
            return json_response({"error": "invalid_request", "error_description": fields}, 400)
        parsed = ParsedRequest(request, fields)
        answer: Response = self._tokens.create_endpoint_response("device_authorization", parsed)
        return answer

    def _verify(self, request: Request) -> Response:
        wanted = request.params.get("user_code", "")
        for device in list(self.devices.values()):
            if device.user_code == wanted:
                device.agreed = self.decision == "agree"
                return Response(200, b"<h1>Done</h1>", (("Content-Type", "text/html"),))
        return problem(404, "no such user code")


def _post_answer(answer: Response) -> Response:
    """The page that posts the parameters which ``answer`` would have put into the address."""
    place, _, query = dict(answer.headers).get("Location", "").partition("?")
    if not query:
        return answer
    fields = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in parse_qsl(query)
    )
    page = (
        f'<body onload="document.forms[0].submit()"><form method="post" action="{escape(place)}">'
        f"{fields}<button>Continue</button></form></body>"
    )
    return Response(200, page.encode(), (("Content-Type", "text/html"),))
