"""The ``requests`` session that is always authenticated and never talks to strangers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from typing import Any, Literal, NoReturn

import requests
from msgspec.structs import replace
from requests.auth import AuthBase

import oauth_taskflow
from oauth_taskflow.api.adapter import BoundedAdapter
from oauth_taskflow.api.auth import Credentials, NoAuth, OAuth2Auth
from oauth_taskflow.api.exchange import (
    AttemptState,
    FetchResult,
    Judge,
    RequestPlan,
    ResponseHandler,
    first_decision,
    log_pause,
    remember_nonce,
    renew_credentials,
)
from oauth_taskflow.api.origins import AllowedOrigins, Origin
from oauth_taskflow.api.outgoing import final_url, unprepared
from oauth_taskflow.api.paginators import Paginate
from oauth_taskflow.api.pull.records import AbsentRecords, Records
from oauth_taskflow.api.redirects import Redirects
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.api.response import ApiResponse
from oauth_taskflow.api.response_hooks import defer_hooks, run_hooks
from oauth_taskflow.api.response_limits import DEFAULT_LIMITS, AnswerLimits, set_limits
from oauth_taskflow.api.response_rules import ResponseRule, Rules
from oauth_taskflow.api.retry import RetryPolicy
from oauth_taskflow.api.tls_files import check_files
from oauth_taskflow.api.urllib3_check import warn_if_replaced
from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.content_coding import accepted_codings
from oauth_taskflow.errors import ApiRequestFailed, ResultRefused
from oauth_taskflow.oauth.token import TokenSource

Timeout = float | tuple[float, float]


def default_headers() -> dict[str, str]:
    """What every request says unless told otherwise."""
    agent = f"oauth-taskflow/{oauth_taskflow.__version__}"
    codings = accepted_codings()
    return {"User-Agent": agent, "Accept": "application/json", "Accept-Encoding": codings}


def _text(url: str | bytes | None) -> str:
    return url.decode() if isinstance(url, bytes) else url or ""


def copy_refusal(base_url: str) -> ResultRefused:
    """Why a session for ``base_url`` cannot leave its process."""
    return ResultRefused(
        "A session cannot be copied, pickled or returned: it holds credentials",
        where=f"for {Origin.of(base_url)}",
        hint="Return the data you read with it instead.",
    )


def resolve_auth(auth: AuthBase | Credentials | TokenSource | None) -> AuthBase | Credentials:
    """What a session's ``auth`` argument stands for: a token source signs as ``OAuth2Auth``."""
    if auth is None:
        return NoAuth()
    if isinstance(auth, AuthBase | Credentials):
        return auth
    return OAuth2Auth(auth)


class _SessionAuth(AuthBase):
    """Marks requests prepared with the session's own credentials, which are put on at every try.

    A request prepared with other credentials (``auth=`` of one call) has no mark and keeps those.
    """

    MARK = "_oauth_taskflow_signs"

    def __init__(self, auth: AuthBase | Credentials) -> None:
        self.auth = auth
        # Once, not with every request: asking whether an object fulfils a protocol takes microseconds.
        self._own = auth if isinstance(auth, Credentials) else None
        self._plain = None if isinstance(auth, Credentials) else auth

    def __call__(self, r: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._plain is not None:
            signed: requests.PreparedRequest = self._plain(r)
            return signed
        setattr(r, self.MARK, True)
        return r

    def __repr__(self) -> str:
        return repr(self.auth)

    def of(self, request: requests.PreparedRequest) -> Credentials:
        """The credentials to put on ``request``: the session's own, or none."""
        marked = getattr(request, self.MARK, False)
        return self._own if marked and self._own is not None else NoAuth()


class OAuthSession(requests.Session):
    """A ``requests.Session`` for one API.

    URLs are relative to ``base_url``, its path included: ``/x`` and ``x`` mean the same. Whole URLs, redirects and
    next links must lead to the base URL's origin or one of ``allowed_origins``; with ``foreign_redirects="bare"`` a
    GET may be redirected elsewhere, without credentials and headers of this session, unless it shows a ``cert``. Every request has a time-out
    (connect, read; seconds). Transient errors are tried again by ``retry``; a 401 refreshes the token once and
    replays the request when its body can be replayed. ``responses`` are rules for what this API says in its own way, with
    the actions retry, rate_limit and refresh; those of one pull go first. ``limits`` bound each answer, see ``AnswerLimits``;
    ``absent_records`` says what an answer without the path of its records means to ``paginate``, unless ``Records.absent``
    says otherwise. ``.netrc`` and proxy variables of the environment are not read.

    Answers come back as with ``requests``; ``raise_for_status`` raises ``ApiStatusError``, which is both our
    ``ApiRequestFailed`` and a ``requests.HTTPError``. Network failures raise ``ApiUnreachable`` or ``ApiTimeout``,
    likewise both, down to ``requests.ReadTimeout``; so does an answer that is streamed. Response hooks are called with
    redirects and with the answer that stands, not with one that is followed by another try. Threads may share one session.

    Raises:
        ConnectionConfigError: ``base_url`` or an allowed origin is no http or https URL, or a certificate file is missing.
    """

    def __init__(
        self,
        base_url: str,
        auth: AuthBase | Credentials | TokenSource | None = None,
        *,
        allowed_origins: Iterable[str] = (),
        timeout: Timeout = (10.0, 60.0),
        headers: Mapping[str, str] | None = None,
        retry: RetryPolicy | None = None,
        responses: Sequence[ResponseRule] = (),
        limits: AnswerLimits = DEFAULT_LIMITS,
        absent_records: AbsentRecords = "fail",
        conn_id: str = "",
        foreign_redirects: Literal["refuse", "bare"] = "refuse",
        clock: Clock = SYSTEM_CLOCK,
        verify: bool | str = True,
        cert: str | tuple[str, str] | None = None,
        proxies: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        warn_if_replaced()
        self.origins = AllowedOrigins.of_connection(conn_id, base_url, allowed_origins)
        self.base_url = base_url.rstrip("/")
        self.conn_id = conn_id
        self.timeout = timeout
        self._leave_bare = foreign_redirects == "bare"
        self.retry = retry or RetryPolicy()
        self._rules = Rules(responses)
        self.limits = limits
        self.absent_records = absent_records
        self.trust_env = False
        check_files(verify, cert, conn_id)
        self.verify, self.cert = verify, cert
        self.proxies.update(proxies or {})
        self.auth = self._auth = _SessionAuth(resolve_auth(auth))
        self._clock = clock
        self.headers.update({**default_headers(), **(headers or {})})
        for scheme in ("https://", "http://"):
            self.mount(scheme, BoundedAdapter(pool_connections=4, pool_maxsize=32))

    def __repr__(self) -> str:
        return f"<OAuthSession for {Origin.of(self.base_url)}>"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise copy_refusal(self.base_url)

    def resolve(self, url: str) -> str:
        """The whole URL for ``url``, relative ones below the base URL.

        Raises:
            ForeignOriginRefused: it leads outside the allowed origins.
        """
        return self.origins.resolve(url, self.base_url)

    def request(
        self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any
    ) -> requests.Response:
        """As ``requests.Session.request``, with ``url`` resolved by ``resolve``.

        Raises:
            ApiUnreachable: no connection, or it broke, after all tries.
            ApiTimeout: no answer in time, after all tries.
            ApiRequestFailed: the server named a wait longer than ``retry.longest_wait``; see ``retry_after``.
            ForeignOriginRefused: the URL or a redirect leads elsewhere.
            TokenRequestError: no token could be had.
        """
        return super().request(method, url, *args, **kwargs)

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """As ``requests.Session.prepare_request``, with the URL resolved by ``resolve``."""
        whole = copy(request)
        whole.url = self.resolve(_text(request.url))
        prepared = super().prepare_request(whole)
        defer_hooks(prepared, request.hooks, self.hooks)
        return prepared

    def resolve_redirects(self, *args: Any, **kwargs: Any) -> Generator[Any, None, None]:
        """As ``requests``, which fills ``Response.next`` by it; a place that cannot be read is no next one."""
        with suppress(ValueError):
            yield from super().resolve_redirects(*args, **kwargs)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """As ``requests.Session.send``: this is where credentials, tries and redirects happen."""
        exchange = RequestPlan(policy=self.retry, options=kwargs, limits=self.limits)
        return self.deliver(request, exchange).response

    def fetch(
        self,
        request: ApiRequest,
        *,
        decide: ResponseHandler | None = None,
        gate: Callable[[], None] | None = None,
        hold: Callable[[float], None] | None = None,
        judge: Judge | None = None,
    ) -> FetchResult:
        """The answer to ``request``, a reading one: POST is tried again like GET.

        ``decide`` sees every answer before the retry policy does, ``gate`` is called before every try, and ``hold``
        is told of rate-limit waits in seconds. ``judge`` reads the answer and may ask for another try; see ``RequestPlan``.
        """
        whole = self.resolve(request.path)
        prepared = self.prepare_request(unprepared(request, whole))
        prepared.url = final_url(request, prepared.url or "", whole)
        options = {"timeout": request.timeout, "allow_redirects": True, "stream": False}
        policy = replace(self.retry, retry_post=True)
        limits = self.limits.changed(request.limits)
        return self.deliver(
            prepared, RequestPlan(policy, options, decide, gate, hold, judge, limits)
        )

    def paginate(
        self,
        path: str,
        *,
        records: str | Records | None = None,
        paginate: Paginate | None = None,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        responses: Sequence[ResponseRule] = (),
    ) -> Generator[Any, None, None]:
        """Every record of every page, with the engine and the options that the specs use.

        Args:
            path: below the base URL.
            records: JMESPath of the records in a page; None takes the whole body.
            paginate: how the next page is found, such as ``PageNumberPaginator(size=100)``; None reads one page.
            params: query parameters; None leaves a name out, a list repeats it.
            json: JSON body.
            method: HTTP method; every one is taken as reading only.
            headers: for these requests only.
            responses: rules for answers; the first match decides.

        Raises:
            ApiError: as ``pull`` raises.
        """
        from oauth_taskflow.api.pull.loop import (  # noqa: PLC0415 - a fifth of this module's import time
            pull_records,
        )

        selector = records if isinstance(records, Records) else Records(path=records)
        request = ApiRequest(path, method, params or {}, headers or {}, json)
        return pull_records(self, request, paginate=paginate, records=selector, responses=responses)

    def deliver(self, request: requests.PreparedRequest, exchange: RequestPlan) -> FetchResult:
        """Send ``request`` until an answer is final."""
        credentials = self._auth.of(request)
        tries = AttemptState(exchange, self.origins)
        request.url = self.origins.accept(request.url or "")
        credentials.apply(request)
        while True:
            tries.attempt += 1
            if exchange.gate is not None:
                exchange.gate()
            try:
                response = self._one_try(request, exchange, credentials)
            except ApiRequestFailed:
                raise
            except requests.RequestException as error:
                wait = exchange.after_error(error, request, tries.attempt)
                self._pause(wait, request, type(error).__name__)
                credentials.apply(request)
                continue
            decision = first_decision(response, exchange.decide, self._rules)
            if isinstance(response, ApiResponse):
                response.verdict = exchange.verdict(decision, tries.attempt)
            if tries.wants_renewal(response, decision) and renew_credentials(
                credentials, request, response
            ):
                response.close()
                tries.attempt -= 1
                continue
            settled = tries.settle(response, decision, request, self._clock.now())
            if settled.wait is None:
                return settled.answer(run_hooks(response, request, exchange.options), decision)
            response.close()
            self._pause(settled.wait, request, settled.reason(response))
            credentials.apply(request)

    def _pause(self, seconds: float, request: requests.PreparedRequest, reason: str) -> None:
        log_pause(seconds, request, reason)
        self._clock.sleep(seconds)

    def _one_try(
        self,
        request: requests.PreparedRequest,
        exchange: RequestPlan,
        credentials: Credentials,
    ) -> requests.Response:
        """One exchange, redirects followed; each hop passes the origin guard."""
        options, limits = {**exchange.options}, exchange.limits
        follow = options.pop("allow_redirects", True)
        defaults = {
            "timeout": self.timeout,
            "proxies": self.proxies,
            "verify": self.verify,
            "cert": self.cert,
        }
        for name, value in defaults.items():
            if options.get(name) is None:
                options[name] = value
        # A client certificate is a credential too, and is shown to whoever is connected to (RFC 8705).
        bare = self._leave_bare and not options["cert"]
        redirects = Redirects(self, self.origins, credentials, leave_bare=bare)
        response = self._send_once(request, options, limits)
        remember_nonce(credentials, response)
        while follow and self.get_redirect_target(response):
            following = redirects.next_request(run_hooks(response, request, options), request)
            response = self._send_once(following, options, limits)
            remember_nonce(credentials, response)
        response.history = redirects.history
        return response

    def _send_once(
        self,
        request: requests.PreparedRequest,
        options: Mapping[str, Any],
        limits: AnswerLimits,
    ) -> requests.Response:
        """One answer, its body read within ``limits`` unless it is to be streamed."""
        set_limits(request, limits)
        response = super().send(request, **{**options, "stream": True}, allow_redirects=False)
        if type(response) is requests.Response:
            response.__class__ = ApiResponse  # of an adapter that the author mounted
        streamed = options.get("stream", self.stream)
        if not isinstance(response, ApiResponse):
            _ = streamed or response.content
        elif not streamed:
            response.load()
        elif response.deadline is not None:
            response.deadline.lift()
        return response
