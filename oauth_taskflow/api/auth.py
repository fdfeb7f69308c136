"""Auth objects for ``requests`` that put credentials on each request, one class for each kind of connection."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable
from urllib.parse import urljoin

import requests
from requests.auth import AuthBase
from requests.utils import rewind_body

from oauth_taskflow.api.errors import challenge_error, note_kept_until, wants_consent
from oauth_taskflow.api.origins import AllowedOrigins
from oauth_taskflow.api.request_secrets import (
    Remembered,
    put_header,
    remember_secrets,
    secrets_of,
)
from oauth_taskflow.errors import ForeignOriginRefused
from oauth_taskflow.oauth.dpop import (
    HEADER,
    NONCE_HEADER,
    NONCE_WANTED,
    PROOF_REFUSED,
    Prover,
    prover,
)
from oauth_taskflow.oauth.request_proof import RequestProof
from oauth_taskflow.oauth.token import Token, TokenSource
from oauth_taskflow.redaction import redact_url
from oauth_taskflow.secret_values import Hidden, NeverPickled, SecretValue
from oauth_taskflow.urls import add_param, find_param, remove_param, supply_param

if TYPE_CHECKING:
    import httpx

# The token is valid, so another token would be refused as well (RFC 6750 §3.1, RFC 9449 §7).
_REFRESH_CANNOT_HELP = frozenset(
    {
        "insufficient_scope",
        NONCE_WANTED,
        PROOF_REFUSED,
    }
)
_DPOP = "DPoP "


@runtime_checkable
class Credentials(Protocol):
    """The methods that a session needs of its auth object, which is also an ordinary ``requests`` auth object."""

    def apply(self, request: requests.PreparedRequest) -> None:
        """Put the credentials on ``request``, replacing those of an earlier attempt."""

    def renew(self, request: requests.PreparedRequest) -> bool:
        """Put other credentials on ``request`` after a 401; False without other credentials."""


def can_refresh_help(response: requests.Response) -> bool:
    """Whether another token may change this response: a 401 that asks neither for more scope nor for another login."""
    if response.status_code != 401 or wants_consent(response):
        return False
    return challenge_error(response) not in _REFRESH_CANNOT_HELP


def wants_nonce(response: requests.Response) -> bool:
    """Whether the API rejected the request because its DPoP proof lacks the nonce (RFC 9449 §9)."""
    proved = response.status_code == 401 and HEADER in response.request.headers
    return proved and NONCE_HEADER in response.headers and challenge_error(response) == NONCE_WANTED


def refuses_proof(response: requests.Response) -> bool:
    """Whether the API refused the DPoP proof itself, for example because its clock differs (RFC 9449 §7.1, §11.1)."""
    proved = response.status_code == 401 and HEADER in response.request.headers
    return proved and challenge_error(response) == PROOF_REFUSED


def rewind(request: requests.PreparedRequest) -> bool:
    """Prepare the body for being sent again; False when that is impossible.

    A file is set back to the position where it began. A generator cannot be repeated.
    """
    body: object = request.body  # may be a file or generator too, despite its annotation
    if body is None or isinstance(body, str | bytes):
        return True
    try:
        rewind_body(request)
    except requests.exceptions.UnrewindableBodyError:
        return False
    return True


def find_oauth(credentials: Credentials) -> OAuth2Auth | None:
    """The ``OAuth2Auth`` in ``credentials``, which may add something to it; None without one."""
    inner = getattr(credentials, "inner", credentials)
    return inner if isinstance(inner, OAuth2Auth) else None


class _Value(SecretValue, frozen=True):
    """A secret text, hidden from the ``repr`` and ``vars`` of an auth object."""

    text: Hidden[str]


class StaticAuth(AuthBase, NeverPickled):
    """Base class for credentials that never change and so cannot be renewed."""

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """As ``requests`` calls an auth object: ``r`` with the credentials."""
        self.apply(r)
        return r

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"

    def apply(self, request: requests.PreparedRequest) -> None:
        """Put nothing on ``request``."""

    def renew(self, request: requests.PreparedRequest) -> bool:  # noqa: ARG002 - the protocol's
        """Always False, because these credentials cannot change."""
        return False


class NoAuth(StaticAuth):
    """Sends no credentials, not even those of ``.netrc``."""


class BasicAuth(StaticAuth):
    """User name and password (RFC 7617), encoded as UTF-8."""

    def __init__(self, username: str, password: str) -> None:
        pair = f"{username}:{password}".encode()
        self._password = _Value(password)
        self._value = _Value(f"Basic {base64.b64encode(pair).decode('ascii')}")

    def apply(self, request: requests.PreparedRequest) -> None:
        """Put both into ``Authorization``."""
        remember_secrets(request, self._password.text)
        put_header(request, "Authorization", self._value.text)


class ApiKeyAuth(StaticAuth):
    """An API key in the header or query parameter ``name``, after an optional literal ``prefix``."""

    def __init__(
        self,
        name: str,
        value: str,
        *,
        placement: Literal["header", "query"] = "header",
        prefix: str = "",
    ) -> None:
        self._name = name
        self._key = _Value(value)
        self._value = _Value(f"{prefix}{value}")
        self._placement = placement

    def apply(self, request: requests.PreparedRequest) -> None:
        """Put the key where the API expects it; a next link that contains it already stays unchanged."""
        hidden = self.hides
        remember_secrets(request, *hidden.secrets, names=hidden.names)
        if self._placement == "header":
            put_header(request, self._name, self._value.text)
            return
        request.url = supply_param(request.url or "", self._name, self._value.text)

    @property
    def hides(self) -> Remembered:
        """The key, and its query parameter."""
        names = (self._name,) if self._placement == "query" else ()
        return Remembered((self._value.text, self._key.text), names)

    def remove_from(self, url: str) -> str:
        """``url`` without the key in its query, for a foreign origin: a redirect may repeat the query."""
        return remove_param(url, self._name) if self._placement == "query" else url


def _replace_refused(source: TokenSource, access_token: str) -> Token:
    """Asks ``source`` for another token. For one more release it may call the method ``refused``, its former name."""
    former: Callable[[str], Token] | None = getattr(source, "refused", None)
    return source.replace_refused(access_token) if former is None else former(access_token)


class OAuth2Auth(AuthBase, NeverPickled):
    """A ``requests`` auth object that puts a fresh access token on every request.

    It also works with plain ``requests.get(url, auth=OAuth2Auth(source))``: after a 401 the token is refreshed once and
    the request is replayed once. The token is sent to ``origins`` only; without any, to the origin of the request.

    ``header`` and ``scheme`` are for APIs that expect the token elsewhere (``X-Shopify-Access-Token`` with an empty
    scheme), ``param`` for those that expect it in that query parameter instead (RFC 6750 §2.3). A token bound to a key is sent as ``Authorization: DPoP`` with a new proof for each attempt (RFC 9449).
    ``proof`` says where the proof goes for a token that brings one.
    """

    def __init__(
        self,
        source: TokenSource,
        *,
        header: str = "Authorization",
        scheme: str = "Bearer",
        param: str = "",
        origins: Iterable[str] = (),
        proof: RequestProof | None = None,
    ) -> None:
        self.source = source
        self._param = param
        self._names = (param,) if param else ()
        self._proof = proof
        self._header = header
        self._prefix = f"{scheme} " if scheme else ""
        urls = tuple(origins)
        self._origins = AllowedOrigins(urls) if urls else None
        self._prover: Prover | None = None

    def __repr__(self) -> str:
        return f"OAuth2Auth({self._param or self._header!r})"

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        """Put a token on ``r`` and register the hook that handles its response.

        Raises:
            ForeignOriginRefused: ``r`` leads outside the allowed origins.
        """
        allowed = self._origins or AllowedOrigins((r.url or "",))
        allowed.accept(r.url or "")
        self.apply(r)
        r.hooks.setdefault("response", []).append(partial(self._handle_response, allowed=allowed))
        return r

    def apply(self, request: requests.PreparedRequest) -> None:
        """Put a usable token on ``request``; refreshes it when needed."""
        self._put(request, self.source.token())

    def renew(self, request: requests.PreparedRequest) -> bool:
        """Put another token than the refused one on ``request``; False when the request carried no token of ours."""
        sent = self._token_on(request)
        if not sent:
            return False
        token = _replace_refused(self.source, sent)
        self._put(request, token)
        if token.access_token != sent:
            return True
        note_kept_until(request, token.kept_until)
        return False

    def remember_nonce(self, response: requests.Response | httpx.Response) -> None:
        """Keep the nonce of ``response`` for the next proof."""
        if self._prover is not None and HEADER in response.request.headers:
            self._prover.remember_nonce("resource", str(response.url), response.headers)

    def correct_clock(self, request: requests.PreparedRequest, response: requests.Response) -> bool:
        """Put a proof with the API's time on ``request``; False when ``response`` shows no clock other than ours."""
        own = self._prover
        if own is None or not own.set_clock("resource", response.url, response.headers):
            return False
        self.apply(request)
        return True

    @property
    def hides(self) -> Remembered:
        """The query parameters of token and proof."""
        proof = self._proof.name if self._proof is not None else ""
        return Remembered((), tuple(filter(None, (self._param, proof))))

    def remove_from(self, url: str) -> str:
        """``url`` without token and proof in its query, for a foreign origin: a redirect may repeat the query."""
        url = remove_param(url, self._param) if self._param else url
        return url if self._proof is None else self._proof.remove_from(url)

    def _put(self, request: requests.PreparedRequest, token: Token) -> None:
        secrets = filter(None, (token.access_token, token.proof))
        remember_secrets(request, *secrets, names=self._names)
        if self._proof is not None and token.proof:
            self._proof.put_on(request, token.proof)
        if self._param:
            bare = remove_param(request.url or "", self._param)
            request.url = add_param(bare, self._param, token.access_token)
            return
        if not token.dpop_key:
            put_header(request, self._header, f"{self._prefix}{token.access_token}")
            return
        own = self._prover = prover(token.dpop_key)
        put_header(request, "Authorization", f"{_DPOP}{token.access_token}")
        request.headers[HEADER] = own.proof(
            "resource", request.method or "GET", request.url or "", access_token=token.access_token
        )

    def _token_on(self, request: requests.PreparedRequest) -> str:
        if self._param:
            return find_param(request.url or "", self._param)
        proved = HEADER in request.headers
        prefix = _DPOP if proved else self._prefix
        value = str(request.headers.get("Authorization" if proved else self._header) or "")
        return value[len(prefix) :] if value.startswith(prefix) else ""

    def _handle_response(
        self, response: requests.Response, *, allowed: AllowedOrigins, **options: Any
    ) -> requests.Response:
        """The response hook for plain ``requests``: guards redirects and replays the request once after a 401."""
        request = response.request
        self.remember_nonce(response)
        if response.is_redirect:
            self._guard_redirect(response, allowed)
        if (request.url or "") not in allowed:
            return response
        remedies = [(wants_nonce, self._sign_again), (refuses_proof, self.correct_clock)]
        while fitting := next((one for one in remedies if one[0](response)), None):
            remedies.remove(fitting)
            response = self._replay(response, partial(fitting[1], response=response), options)
        if can_refresh_help(response):
            response = self._replay(response, self.renew, options)
        return response

    def _sign_again(self, request: requests.PreparedRequest, response: requests.Response) -> bool:  # noqa: ARG002 - as correct_clock
        self.apply(request)
        return True

    def _replay(
        self,
        response: requests.Response,
        renew: Callable[[requests.PreparedRequest], bool],
        options: Mapping[str, Any],
    ) -> requests.Response:
        """The response to the same request after ``renew`` has changed it; ``response`` itself where that is impossible."""
        _ = response.content  # frees the connection for the replay
        replay = response.request.copy()
        if not rewind(replay) or not renew(replay):
            return response
        adapter = getattr(response, "connection", None) or requests.Session().get_adapter(
            replay.url or ""
        )
        answer: requests.Response = adapter.send(replay, **options)
        answer.history = [*response.history, response]
        answer.request = replay
        self.remember_nonce(answer)
        return answer

    def _guard_redirect(self, response: requests.Response, allowed: AllowedOrigins) -> None:
        """Guard the next hop: ``requests`` removes only ``Authorization`` at a foreign origin and keeps other headers."""
        followed = self._carrier(response.request)
        if not followed and not self._is_in_query:
            return
        target = urljoin(response.url, response.headers["Location"])
        if target in allowed:
            self._sign_hop(response, target)
        elif followed:
            raise ForeignOriginRefused(
                f"The token in header {followed} was not sent to a redirect's origin",
                where=f"at {redact_url(target, secrets_of(response.request))}",
                hint="List the origin in the connection's allowed_origins if it belongs to the API.",
            )
        else:
            response.headers["Location"] = self.remove_from(target)

    @property
    def _is_in_query(self) -> bool:
        """Whether a redirect that repeats the query may repeat a secret of ours."""
        return bool(self._param) or self._proof is not None

    def _carrier(self, request: requests.PreparedRequest) -> str:
        """The header with a secret of ours that ``requests`` would send to any redirect target; empty without one."""
        if HEADER in request.headers:
            return HEADER
        proof = self._proof
        if proof is not None and proof.place == "header" and proof.name in request.headers:
            return proof.name
        return "" if self._param or self._header == "Authorization" else self._header

    def _sign_hop(self, response: requests.Response, target: str) -> None:
        """Put credentials for the URL ``target`` on the next hop, which ``requests`` builds from ``response``."""
        if HEADER not in response.request.headers and not self._is_in_query:
            return
        hop = response.request.copy()
        hop.url = target
        requests.Session().rebuild_method(hop, response)
        self.apply(hop)
        response.request.headers.update(hop.headers)
        response.headers["Location"] = hop.url or target
