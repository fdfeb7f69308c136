"""One exchange with the token endpoint: build, send once, name the outcome."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from msgspec import Struct, field
from msgspec.structs import replace

from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.errors import (
    ConnectionConfigError,
    InvalidTokenResponse,
    TokenEndpointUnavailable,
)
from oauth_taskflow.http_headers import server_skew
from oauth_taskflow.oauth.client import Client, TokenForm
from oauth_taskflow.oauth.client_auth import CLIENT_AUTH_METHODS
from oauth_taskflow.oauth.dialect import STANDARD, Dialect
from oauth_taskflow.oauth.dpop import (
    HEADER,
    NONCE_HEADER,
    NONCE_WANTED,
    PROOF_REFUSED,
    new_key,
    prover,
)
from oauth_taskflow.oauth.endpoint.clock_correction import correct_clock
from oauth_taskflow.oauth.endpoint.messages import TokenHttpResponse, TokenRequestInfo
from oauth_taskflow.oauth.endpoint.outcomes import (
    Failure,
    NotProcessed,
    Outcome,
    OutcomeUnknown,
    Rejected,
)
from oauth_taskflow.oauth.endpoint.partial_response import CutOff, brings_refresh_token, read_body
from oauth_taskflow.oauth.endpoint.request_encoding import Encoded, encode
from oauth_taskflow.oauth.endpoint.response import interpret
from oauth_taskflow.oauth.endpoint.transport import Deadline, Wire, always, new_session
from oauth_taskflow.oauth.grants import Grant
from oauth_taskflow.redaction import is_sensitive_name, redact_address
from oauth_taskflow.secret_values import Hidden, SecretValue
from oauth_taskflow.urls import is_loopback

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on

_LARGEST_ANSWER = 1 << 20
_LEAST_TIME_TO_SEND = 1.0


class Timeouts(Struct, frozen=True):
    """Seconds to connect, to wait for the next bytes, and for the whole exchange."""

    connect: float = 5.0
    read: float = 30.0
    total: float = 35.0


class TransportOptions(SecretValue, frozen=True):
    """Certificate checks (``verify``: True or a CA file), client certificate, proxies by scheme, time limits."""

    verify: bool | str = True
    cert: str | tuple[str, str] | None = None
    proxies: Hidden[Mapping[str, str]] = field(default_factory=dict)
    timeouts: Timeouts = field(default_factory=Timeouts)

    def request_options(self, longest: float) -> dict[str, Any]:
        """The arguments of ``requests`` for a request whose connecting and reading may each take ``longest`` seconds.

        Redirects are never followed: credentials belong to the configured address only.
        """
        return {
            "timeout": (min(self.timeouts.connect, longest), min(self.timeouts.read, longest)),
            "allow_redirects": False,
            "verify": self.verify,
            "cert": self.cert,
            "proxies": dict(self.proxies),
            "stream": True,
        }


def _keep_nothing(_answer: TokenHttpResponse) -> None:
    """Ignores an answer: the grant can be used again."""


def _ignore_secrets(_secrets: Iterable[str]) -> None:
    """Ignores secrets: the caller hides nothing."""


class TokenEndpoint(SecretValue, frozen=True):
    """A token endpoint, and the client that asks it.

    ``client_auth`` is a name of ``CLIENT_AUTH_METHODS``; ``dialect`` is how this server departs from RFC 6749. ``dpop`` is the algorithm of DPoP proofs
    (empty: bearer tokens), ``dpop_key`` the grant's key, see ``with_dpop_key``. ``introspect_url`` is asked about tokens whose
    answer names no lifetime, when the dialect says so. ``hide`` gets the secrets of a request before it is made:
    refresh tokens come from the store, assertions from files. ``may_send`` is asked just before a request leaves: a
    worker that lost its lease meanwhile sends nothing. ``keep`` gets each answer with status 2xx before anything in it is
    judged. Safe to share between threads: nothing is kept between exchanges.

    Raises:
        ConnectionConfigError: the URL is neither https nor loopback, or the method is unknown.
    """

    url: str
    client: Client
    client_auth: str = "client_secret_basic"
    conn_id: str = ""
    dialect: Dialect = STANDARD
    transport: TransportOptions = field(default_factory=TransportOptions)
    clock: Clock = SYSTEM_CLOCK
    dpop: str = ""
    dpop_key: Hidden[str] = ""
    introspect_url: str = ""
    hide: Hidden[Callable[[Iterable[str]], None]] = _ignore_secrets
    may_send: Hidden[Callable[[], bool]] = always
    keep: Hidden[Callable[[TokenHttpResponse], None]] = _keep_nothing

    def __post_init__(self) -> None:
        _check_url(self.url, self.conn_id)
        _check_url(self.dialect.request.url(self.url, "refresh_token"), self.conn_id)
        _check_url(self.introspect_url or self.url, self.conn_id)
        if self.client_auth not in CLIENT_AUTH_METHODS:
            raise ConnectionConfigError(
                f"Unknown client authentication method {self.client_auth!r}",
                conn_id=self.conn_id,
                field="client_auth",
                hint=f"Known: {', '.join(sorted(CLIENT_AUTH_METHODS))}.",
            )

    @classmethod
    def from_endpoint(cls, endpoint: TokenEndpoint, **changes: Any) -> Self:
        """``endpoint`` as one of this class, with ``changes``; fields that only its own class has are left out."""
        known = {name: getattr(endpoint, name) for name in TokenEndpoint.__struct_fields__}
        return cls(**{**known, **changes})

    def resolve(self) -> TokenEndpoint:
        """This endpoint with its address; one that is known by its issuer looks it up."""
        return self

    @property
    def usual_lifetime(self) -> float | None:
        """Seconds that a token is taken to live when nothing says so; None: until the API answers 401."""
        return self.dialect.response.expiry.lifetime_s

    def with_dpop_key(self, dpop_key: str = "") -> Self:
        """This endpoint, proving that it holds ``dpop_key`` (a new one if that is empty) when ``dpop`` says so."""
        if not self.dpop:
            return self
        return replace(self, dpop_key=dpop_key or self.dpop_key or new_key(self.dpop))

    @property
    def dpop_jkt(self) -> str:
        """The thumbprint of ``dpop_key``; empty without one."""
        return prover(self.dpop_key).thumbprint if self.dpop_key else ""

    def exchange(self, grant: Grant, *, budget: float | None = None) -> Outcome:
        """Trade ``grant`` for a token within ``budget`` seconds; see ``ask`` for how often it is sent."""
        if self.dpop and not self.dpop_key:
            return self.with_dpop_key().exchange(grant, budget=budget)
        answer = self.ask(grant, budget=budget)
        return (
            interpret(answer, self.describe_request(grant))
            if isinstance(answer, TokenHttpResponse)
            else answer
        )

    def ask(self, grant: Grant, *, budget: float | None = None) -> TokenHttpResponse | Failure:
        """Post the form of ``grant`` once, as this client; the answer as it came, or the failure.

        It is posted again only where the server refused it unread: once with the nonce that it wants in the DPoP proof,
        once with a proof on its clock, and once with an assertion on its clock. ``Date`` shows that clock.
        """
        limits = self.transport.timeouts
        total = limits.total if budget is None else min(budget, limits.total)
        end = self.clock.monotonic() + total
        answer = self._send_proved(self.client, grant, total)
        again = self._sign_again(answer, grant)
        left = end - self.clock.monotonic()
        if again is None or left < _LEAST_TIME_TO_SEND:
            return answer
        return self._send_proved(*again, left)

    def _sign_again(
        self, answer: TokenHttpResponse | Failure, grant: Grant
    ) -> tuple[Client, Grant] | None:
        if not isinstance(answer, TokenHttpResponse):
            return None
        skew = server_skew(answer.headers, answer.received_at)
        if not skew:
            return None
        outcome = interpret(answer, self.describe_request(grant))
        return correct_clock(self.client, self.client_auth, grant, outcome, skew)

    def _send_proved(
        self, client: Client, grant: Grant, total: float
    ) -> TokenHttpResponse | Failure:
        end = self.clock.monotonic() + total
        answer = self._send(client, grant, total)
        remedies = {NONCE_WANTED: self._has_nonce, PROOF_REFUSED: self._shows_other_clock}
        while (
            isinstance(answer, TokenHttpResponse)
            and (left := end - self.clock.monotonic()) >= _LEAST_TIME_TO_SEND
        ):
            helps = remedies.pop(self._proof_error(answer), None)
            if helps is None or not helps(answer, grant):
                break
            answer = self._send(client, grant, left)
        return answer

    def _proof_error(self, answer: TokenHttpResponse) -> str:
        """The error code of a refusal, when a proof was sent."""
        if not self.dpop_key or answer.status not in {400, 401}:
            return ""
        return str((answer.read().fields or {}).get("error"))

    def _has_nonce(self, answer: TokenHttpResponse, _grant: Grant) -> bool:
        return NONCE_HEADER.lower() in answer.headers

    def _shows_other_clock(self, answer: TokenHttpResponse, grant: Grant) -> bool:
        url = self.dialect.request.url(self.url, grant.grant_type)
        return prover(self.dpop_key).set_clock(
            "authorization", url, answer.headers, clock=self.clock
        )

    def _send(self, client: Client, grant: Grant, total: float) -> TokenHttpResponse | Failure:
        info = self.describe_request(grant)
        self.hide(info.secrets)
        wire = Wire(total, self.may_send)
        broke: Exception | None = None
        form = CLIENT_AUTH_METHODS[self.client_auth].apply(client, grant.form())
        try:
            with Deadline(wire), new_session(wire) as session:
                answer = self._post(session, form, grant, total)
        except CutOff as cut:
            answer, broke = cut.answer, cut.cause
        except (requests.RequestException, OSError, ValueError) as failure:
            # ValueError: urllib3's LocationParseError and a header value that cannot be encoded.
            return _name_failure(failure, wire, info)
        if (
            broke is None and wire.expired
        ):  # cutting the wire looks like the regular end of an answer
            broke = TimeoutError()
        if broke is not None and not brings_refresh_token(answer, info):
            return _name_failure(broke, wire, info)
        if not answer.is_success:
            return answer
        if len(answer.body) > _LARGEST_ANSWER:
            return OutcomeUnknown(_too_long(info), again=0)
        self.keep(answer)
        return answer

    def describe_request(self, grant: Grant) -> TokenRequestInfo:
        """Facts about a request with ``grant``, for judging its answer and wording an error."""
        options = grant.options
        added = (*options.params.items(), *options.headers.items())
        sensitive = (value for name, value in added if is_sensitive_name(name))
        return TokenRequestInfo(
            conn_id=self.conn_id,
            url=self.dialect.request.url(self.url, grant.grant_type),
            grant_type=grant.grant_type,
            scope=options.scope,
            targets=tuple(filter(None, (options.audience, *options.resource))),
            refusal_hint=grant.refusal_hint,
            by_consent=grant.by_consent,
            dialect=self.dialect.response,
            secrets=tuple(filter(None, (self.client.client_secret, *grant.secrets(), *sensitive))),
            dpop_key=self.dpop_key,
        )

    def _post(
        self, session: requests.Session, form: TokenForm, grant: Grant, total: float
    ) -> TokenHttpResponse:
        rules = self.dialect.request
        renamed = rules.rename_params(form)
        request = encode(
            renamed,
            method=rules.method,
            url=rules.url(self.url, grant.grant_type),
            body=grant.options.body,
        )
        sent_at = self.clock.now()
        with session.request(
            request.method,
            request.url,
            data=request.body,
            headers={**request.headers, **self._proof(request)},
            **self.transport.request_options(total),
        ) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            content, ended = read_body(response, _LARGEST_ANSWER)
        if self.dpop_key:
            prover(self.dpop_key).remember_nonce("authorization", request.url, headers)
        names = tuple(dict.fromkeys(name for name, _ in renamed.params))
        times = (sent_at, self.clock.now())
        answer = TokenHttpResponse(response.status_code, headers, content, *times, names)
        if ended is not None:
            raise CutOff(answer, ended)
        return answer

    def _proof(self, request: Encoded) -> dict[str, str]:
        if not self.dpop_key:
            return {}
        # The URL as the server sees it: requests rewrites the path and international names.
        url = requests.Request(request.method, request.url).prepare().url or request.url
        own = prover(self.dpop_key)
        return {HEADER: own.proof("authorization", request.method, url, clock=self.clock)}


def _too_long(info: TokenRequestInfo) -> InvalidTokenResponse:
    return InvalidTokenResponse(
        "The answer is longer than 1 MiB and was not read",
        where=info.where,
        hint="Check that token_url is the token endpoint and not a login page.",
    )


def _check_url(url: str, conn_id: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and is_loopback(parts.hostname or ""):
        return
    raise ConnectionConfigError(
        f"The token endpoint {redact_address(url)!r} is not an https URL",
        conn_id=conn_id,
        field="token_url",
        hint="Secrets travel encrypted only; plain http is accepted for 127.0.0.1 and [::1].",
    )


def _name_failure(failure: Exception, wire: Wire, info: TokenRequestInfo) -> Failure:
    certificate = _cause(failure, ssl.SSLCertVerificationError)
    if certificate is not None and not wire.sent:
        return Rejected(_bad_certificate(certificate, info))
    if not wire.sent and not isinstance(failure, requests.ConnectionError | requests.Timeout):
        return Rejected(_unusable(failure, info))
    reason = "deadline passed" if wire.expired else type(_root(failure)).__name__
    when = "after the request was sent" if wire.sent else "before anything was sent"
    # Not chained: requests' exceptions carry the request, and with it the secrets.
    error = TokenEndpointUnavailable(
        f"Token endpoint not reachable ({reason}, {when})",
        where=info.where,
        hint=f"Check token_url, DNS, proxy and firewall. {info.repeated}.",
    )
    return OutcomeUnknown(error) if wire.sent else NotProcessed(error)


def _bad_certificate(failure: BaseException, info: TokenRequestInfo) -> ConnectionConfigError:
    reason = info.clean(str(getattr(failure, "verify_message", "")) or "not trusted", 120)
    return ConnectionConfigError(
        f"The certificate of {redact_address(info.url)} was refused ({reason})",
        conn_id=info.conn_id,
        field="verify",
        hint="Set verify to the file of the CA that signed it; checks are never switched off here.",
    )


def _unusable(failure: Exception, info: TokenRequestInfo) -> ConnectionConfigError:
    # For a header that HTTP refuses, the text is the value, which may be a key.
    quotes = isinstance(failure, requests.exceptions.InvalidHeader)
    text = "" if quotes else f": {info.clean(str(failure), 120)}"
    return ConnectionConfigError(
        f"No request to {redact_address(info.url)} can be made ({type(failure).__name__}{text})",
        conn_id=info.conn_id,
        hint="Check token_url, verify, cert, proxies and token_headers of the connection.",
    )


def _root(failure: BaseException) -> BaseException:
    """The innermost reason: requests wraps urllib3, which wraps the socket's error."""
    for inner in (getattr(failure, "reason", None), *failure.args, failure.__cause__):
        if isinstance(inner, BaseException) and inner is not failure:
            return _root(inner)
    return failure


def _cause(failure: BaseException, kind: type[BaseException]) -> BaseException | None:
    found = _root(failure)
    return found if isinstance(found, kind) else None
