"""A token source for APIs that exchange user name and password for a token by a login request of their design."""

from __future__ import annotations

import copy
import logging
import re
import threading
from collections.abc import Mapping
from itertools import islice
from typing import Any, Literal

import requests
from msgspec import field

from oauth_taskflow.api.adapter import BoundedAdapter
from oauth_taskflow.api.additions import list_texts
from oauth_taskflow.api.auth import BasicAuth, NoAuth, StaticAuth
from oauth_taskflow.api.decoders.json import Body
from oauth_taskflow.api.decoders.json_outline import is_cut_off
from oauth_taskflow.api.errors import ApiAnswerTooLarge
from oauth_taskflow.api.network_errors import network_error
from oauth_taskflow.api.request_secrets import remember_secrets
from oauth_taskflow.api.response_limits import AnswerLimits
from oauth_taskflow.api.retry import RetryPolicy
from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.content_coding import accept_encoding
from oauth_taskflow.errors import (
    ApiRequestFailed,
    InvalidRecord,
    InvalidTokenResponse,
    TokenEndpointUnavailable,
    TokenRequestError,
    TokenRequestRejected,
)
from oauth_taskflow.oauth.endpoint.expiry import find_end, jwt_expiry
from oauth_taskflow.oauth.token import Token, TokenState
from oauth_taskflow.redaction import redact_text, redact_url
from oauth_taskflow.secret_values import Hidden, SecretValue

_log = logging.getLogger(__name__)
_RETRY = RetryPolicy(attempts=3, longest_wait=30.0)
# A token is small, and a slow login delays every thread that waits for it.
_LIMITS = AnswerLimits(bytes=1 << 20, depth=64, seconds=60.0)
# Wrong credentials sent again by every thread and retry would lock the account.
_REFUSAL_HOLDS = 60.0
# The share of a stale token's remaining time that passes until the next login after one that failed.
_PAUSED_SHARE = 0.1
_SHOWN = 200
_MOST_NAMES, _LONGEST_NAME = 12, 40
_OPAQUE = re.compile(r"[A-Za-z0-9._~+/=-]{20,}")


class Login(SecretValue, frozen=True):
    """The login request. ``fields`` are its body, ``params`` its query; ``basic`` is a user name and password for HTTP Basic.

    Paths are JMESPaths into the response; times are in seconds.

    The token is valid for ``lifetime`` if set, else as ``expires_path`` says (a lifetime or an instant). Without both, a
    JWT is valid until its ``exp`` (RFC 7519 §4.1.4), and every other token until the API answers 401.
    """

    url: Hidden[str]
    fields: Hidden[Mapping[str, Any]]
    method: Literal["POST", "PUT", "GET"] = "POST"
    params: Hidden[Mapping[str, str]] = field(default_factory=dict)
    basic: Hidden[tuple[str, str] | None] = None
    body: Literal["json", "form"] = "json"
    headers: Hidden[Mapping[str, str]] = field(default_factory=dict)
    token_path: str = "access_token"
    expires_path: str = "expires_in"
    lifetime: float | None = None
    leeway: float = 60.0
    timeout: float | tuple[float, float] = (10.0, 30.0)
    verify: bool | str = True
    cert: str | tuple[str, str] | None = None
    proxies: Hidden[Mapping[str, str]] = field(default_factory=dict)
    conn_id: str = ""
    url_secrets: Hidden[tuple[str, ...]] = ()

    @property
    def where(self) -> str:
        """The connection, if it has a name, and the redacted URL, for error messages."""
        named = f"for connection {self.conn_id!r} " if self.conn_id else ""
        return f"{named}at {redact_url(self.url, (*self.secrets, *self.url_secrets))}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every value that is sent, of which no message may show any."""
        sent = (*list_texts(self.fields), *self.params.values(), *(self.basic or ()))
        return tuple(dict.fromkeys(filter(None, sent)))

    @property
    def credentials(self) -> StaticAuth:
        """The credentials that the request has besides its fields."""
        return NoAuth() if self.basic is None else BasicAuth(*self.basic)


class LoginTokenSource:
    """A token source that logs in, remembers the token and logs in again when the token is refused.

    All threads of the process share one login. Refused credentials are not sent again for a minute. While the login
    server is away, a stale token is used until it expires.
    """

    def __init__(self, login: Login, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._login = login
        self._clock = clock
        self._lock = threading.Lock()
        self._token: Token | None = None
        self._refusal: tuple[float, TokenRequestError] | None = None
        self._paused_until = 0.0

    def __repr__(self) -> str:
        return f"LoginTokenSource({redact_url(self._login.url, self._login.url_secrets)!r})"

    def token(self) -> Token:
        """The token of the last login while it is fresh, else that of a new one, or the stale one if that fails for now.

        Raises:
            TokenRequestRejected: the credentials were refused.
            TokenEndpointUnavailable: no response, 429 or 5xx after all attempts; retryable.
            InvalidTokenResponse: the response does not contain a token.
        """
        token = self._token
        if token is not None and self._is_good(token):
            return token
        with self._lock:
            token = self._token
            if token is None:
                return self._log_in()
            return token if self._is_good(token) else self._log_in_again(token)

    def replace_refused(self, access_token: str) -> Token:
        """A token other than ``access_token``; logs in only when that is still the current one.

        Raises:
            TokenRequestError: as ``token`` raises.
        """
        with self._lock:
            token = self._token
            return token if token and token.access_token != access_token else self._log_in()

    def _is_good(self, token: Token) -> bool:
        """Whether ``token`` is used without a login: while it is fresh, or stale shortly after a login that failed."""
        now = self._clock.now()
        state = token.state(now, self._login.leeway)
        is_paused = state is TokenState.STALE and now < self._paused_until
        return state is TokenState.FRESH or is_paused

    def _log_in_again(self, stale: Token) -> Token:
        """The token of a new login, or ``stale`` if that fails for now and it has not expired."""
        try:
            return self._log_in()
        except TokenRequestError as failure:
            now = self._clock.now()
            expired = stale.state(now, self._login.leeway) is TokenState.EXPIRED
            if expired or not failure.retryable:
                raise
            _log.warning("%r: the current token is used until it expires: %s", self, failure)
            # Each login that fails takes seconds, in which all threads wait.
            left = (stale.expires_at or now) - now
            self._paused_until = now + (failure.retry_after or left * _PAUSED_SHARE)
            return stale

    def _log_in(self) -> Token:
        if self._refusal is not None and self._clock.now() < self._refusal[0]:
            raise copy.copy(self._refusal[1])
        try:
            self._token = _read_token(self._login, *self._request_login())
        except TokenRequestRejected as error:
            self._refusal = (self._clock.now() + _REFUSAL_HOLDS, error)
            raise
        return self._token

    def _request_login(self) -> tuple[requests.Response, float]:
        """The first response that is neither a network failure nor transient, and the time when its request began."""
        attempt = 0
        while True:
            attempt += 1
            began = self._clock.now()
            try:
                response = self._send()
                failure = self._unavailable(response)
                if failure is None:
                    return response, began
            except ApiAnswerTooLarge as error:
                hint = "Check the login URL; no answer with a token is that large."
                where = self._login.where
                raise InvalidTokenResponse(error.what, where=where, hint=hint) from None
            except requests.RequestException as error:
                failure = self._network_failure(error)
            wait = failure.retry_after
            if attempt == _RETRY.attempts or (wait or 0.0) > _RETRY.longest_wait:
                raise failure
            self._clock.sleep(_RETRY.backoff_seconds(attempt) if wait is None else wait)

    def _send(self) -> requests.Response:
        login = self._login
        body: dict[str, Any] = {}
        if login.fields:
            body = {"json" if login.body == "json" else "data": dict(login.fields)}
        # A separate session has no cookies, no .netrc and no proxies of the environment.
        with requests.Session() as session:
            session.trust_env = False
            session.auth = login.credentials
            for scheme in ("https://", "http://"):
                session.mount(scheme, BoundedAdapter(limits=_LIMITS))
            return session.request(
                login.method,
                login.url,
                **body,
                params=dict(login.params),
                headers={
                    "Accept": "application/json",
                    "Accept-Encoding": accept_encoding(),
                    **login.headers,
                },
                timeout=login.timeout,
                verify=login.verify,
                cert=login.cert,
                proxies=dict(login.proxies),
                allow_redirects=False,
            )

    def _network_failure(self, error: requests.RequestException) -> TokenEndpointUnavailable:
        login = self._login
        request = requests.Request(login.method, login.url).prepare()
        remember_secrets(request, *login.secrets, *login.url_secrets)
        failure: BaseException = error
        if not isinstance(failure, ApiRequestFailed):
            failure = network_error(error, request, retryable=True)
        reason = failure.what
        return TokenEndpointUnavailable(f"Login failed: {reason}", where=self._login.where)

    def _unavailable(self, response: requests.Response) -> TokenEndpointUnavailable | None:
        status, headers = response.status_code, response.headers
        if not _RETRY.transient(status, headers):
            return self._broken(response)
        return TokenEndpointUnavailable(
            f"Login answered HTTP {status}",
            where=self._login.where,
            retry_after=_RETRY.server_wait(status, headers, self._clock.now()),
        )

    def _broken(self, response: requests.Response) -> TokenEndpointUnavailable | None:
        """The failure of a 200 or 201 that is empty or JSON without its end, as if the connection had broken."""
        body = response.content
        if response.status_code not in {200, 201} or (body.strip() and not is_cut_off(body)):
            return None
        return TokenEndpointUnavailable(
            f"The login answer breaks off (HTTP {response.status_code}, {len(body)} bytes)",
            where=self._login.where,
            hint="If this lasts, check the login URL, and look at the server and the proxies before it.",
        )


def _read_token(login: Login, response: requests.Response, began: float) -> Token:
    if not 200 <= response.status_code < 300:
        raise _rejection(login, response)
    try:
        body = Body.from_response(response)
        token = body.find(login.token_path)
    except InvalidRecord as error:
        raise InvalidTokenResponse(
            "The login answer is not JSON", where=login.where, hint="Check the login URL."
        ) from error
    if not isinstance(token, str) or not token.strip():
        raise InvalidTokenResponse(
            f"The login answer holds no token at {login.token_path!r}",
            where=login.where,
            hint=f"It has: {_names(login, body.decode())}. Correct token_path in the connection.",
        )
    return Token(token, obtained_at=began, expires_at=_expires_at(login, token, body, began))


def _names(login: Login, answer: object) -> str:
    """The first field names in the response; a name that could be a token is redacted."""
    if not isinstance(answer, dict):
        return "no mapping"
    secrets = login.secrets
    shown = (_OPAQUE.sub("***", redact_text(str(name), secrets)) for name in answer)
    return ", ".join(name[:_LONGEST_NAME] for name in islice(shown, _MOST_NAMES)) or "no field"


def _rejection(login: Login, response: requests.Response) -> TokenRequestRejected:
    secrets = login.secrets
    text = response.text[: _SHOWN * 4]
    if response.is_redirect:
        text = f"redirects to {redact_url(response.headers['Location'], secrets)}"
    text = " ".join(redact_text(text, secrets).split())
    return TokenRequestRejected(
        error="login_refused",
        status=response.status_code,
        where=login.where,
        description=text[:_SHOWN],
        hint="Check the login URL and the login fields of the connection.",
    )


def _expires_at(login: Login, token: str, body: Body, began: float) -> float | None:
    if login.lifetime is not None:
        return began + login.lifetime
    named: Any = body.find(login.expires_path)
    if not named:
        return jwt_expiry(token)
    end = find_end(named, now=began)
    if end is None:
        raise InvalidTokenResponse(
            f"The value at {login.expires_path!r} of the login answer is neither a lifetime in seconds nor a future "
            "instant",
            where=login.where,
            hint="Correct expires_path, or set token_lifetime in the connection.",
        )
    return end
