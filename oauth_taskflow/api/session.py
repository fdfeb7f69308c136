"""The ``requests`` session that authenticates every request and talks only to allowed origins."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import requests
from msgspec.structs import replace
from requests.auth import AuthBase

from oauth_taskflow.api.adapter import BoundedAdapter, send_with
from oauth_taskflow.api.additions import hidden_by
from oauth_taskflow.api.auth import Credentials
from oauth_taskflow.api.exchange import (
    LONG_WAIT,
    Admit,
    AttemptState,
    FetchResult,
    Judge,
    RequestPlan,
    ResponseHandler,
    first_decision,
    pass_gate,
    remember_nonce,
    renew_credentials,
)
from oauth_taskflow.api.origins import AllowedOrigins
from oauth_taskflow.api.outgoing import build_request, choose_url, default_headers
from oauth_taskflow.api.pauses import PauseLog, PauseReason
from oauth_taskflow.api.pull.pull_log import session_log
from oauth_taskflow.api.pull.records import AbsentRecords, Records
from oauth_taskflow.api.rate_limit import Gate, GateKeeper
from oauth_taskflow.api.redirects import Redirects
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.api.response import ApiResponse
from oauth_taskflow.api.response_hooks import defer_hooks, run_hooks
from oauth_taskflow.api.response_limits import DEFAULT_LIMITS, AnswerLimits, set_limits
from oauth_taskflow.api.response_rules import ResponseRule, Rules
from oauth_taskflow.api.retry import RetryPolicy
from oauth_taskflow.api.session_auth import SessionAuth, resolve_auth
from oauth_taskflow.api.tls_files import check_files_exist
from oauth_taskflow.api.urllib3_check import warn_if_replaced
from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.errors import ApiRequestFailed, ResultRefused
from oauth_taskflow.oauth.token import TokenSource
from oauth_taskflow.schema.types import Concurrency

if TYPE_CHECKING:
    from oauth_taskflow.api.paginators import Paginate

Timeout = float | tuple[float, float]


def _text(url: str | bytes | None) -> str:
    return url.decode() if isinstance(url, bytes) else url or ""


def copy_refusal(origin: str) -> ResultRefused:
    """The error that is raised when a session for ``origin`` is copied, pickled or returned."""
    return ResultRefused(
        "A session cannot be copied, pickled or returned: it holds credentials",
        where=f"for {origin}",
        hint="Return the data you read with it instead.",
    )


class OAuthSession(requests.Session):
    """A ``requests.Session`` for one API.

    URLs are relative to ``base_url``, its path included: ``/x`` and ``x`` mean the same. Absolute URLs, redirects and
    next links must lead to the base URL's origin or one of ``allowed_origins``. With ``foreign_redirects="bare"`` a GET
    may be redirected elsewhere, without credentials and headers of this session, unless the session has a ``cert``.

    Every request has a time-out (connect, read; seconds). ``retry`` repeats requests after transient errors. A 401
    refreshes the token once and replays the request if its body can be sent again. ``responses`` are rules for responses
    that are special to this API, with the actions retry, rate_limit and refresh; rules of one pull come first.

    ``limits`` bound each response, see ``AnswerLimits``. ``absent_records`` decides for ``paginate`` what a response
    without the path of its records means, unless ``Records.absent`` does. ``budgets`` hold requests back that would
    exceed a rate limit. ``.netrc`` and the proxy variables of the environment are not read.

    Responses are those of ``requests``. ``raise_for_status`` raises ``ApiStatusError``, which is both our
    ``ApiRequestFailed`` and a ``requests.HTTPError``. Network failures raise ``ApiUnreachable`` or ``ApiTimeout``, which
    are also the exceptions of ``requests``, down to ``requests.ReadTimeout``. This holds for streamed responses too.
    Response hooks are called with redirects and with the final response, not with one that is followed by another
    attempt. Threads may share one session.

    Raises:
        ConnectionConfigError: ``base_url`` or an allowed origin is not an http or https URL, or a certificate file is
            missing.
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
        budgets: GateKeeper | None = None,
    ) -> None:
        super().__init__()
        warn_if_replaced()
        credentials = resolve_auth(auth)
        hidden = hidden_by(credentials)
        self.origins = AllowedOrigins.for_connection(conn_id, base_url, allowed_origins, hidden)
        self.base_url = base_url.rstrip("/")
        self.conn_id = conn_id
        self.timeout = timeout
        self._leave_bare = foreign_redirects == "bare"
        self.retry = retry or RetryPolicy()
        self._rules = Rules(responses)
        self.limits = limits
        self.budgets = budgets
        self.absent_records = absent_records
        self.trust_env = False
        check_files_exist(verify, cert, conn_id)
        self.verify, self.cert = verify, cert
        self.proxies.update(proxies or {})
        self.auth = self._auth = SessionAuth(credentials)
        self._clock, self._pauses = clock, PauseLog(clock)
        self.pulls = session_log(self, clock)
        self.headers.update({**default_headers(), **(headers or {})})
        for scheme in ("https://", "http://"):
            self.mount(scheme, BoundedAdapter())

    def __repr__(self) -> str:
        return f"<OAuthSession for {self.origins.names[0]}>"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise copy_refusal(self.origins.names[0])

    def close(self) -> None:
        """As ``requests.Session.close``; logs what the pulls of ``paginate`` have read in all."""
        self.pulls.close()
        super().close()

    def resolve(self, url: str) -> str:
        """The absolute URL for ``url``, which may be relative to the base URL.

        Raises:
            ForeignOriginRefused: it leads outside the allowed origins.
        """
        return self.origins.resolve(url, self.base_url)

    def request(
        self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any
    ) -> requests.Response:
        """As ``requests.Session.request``, with ``url`` resolved by ``resolve``.

        Raises:
            ApiUnreachable: all attempts failed to connect, or the connection broke.
            ApiTimeout: all attempts timed out.
            ApiRequestFailed: the server named a wait longer than ``retry.longest_wait``; see ``retry_after``.
            ForeignOriginRefused: the URL or a redirect leads elsewhere.
            TokenRequestError: no token could be obtained.
        """
        return super().request(method, url, *args, **kwargs)

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """As ``requests.Session.prepare_request``, with the URL resolved by ``resolve``."""
        whole = requests.Request.__new__(type(request))  # copy.copy takes three times as long
        vars(whole).update(vars(request), url=self.resolve(_text(request.url)))
        prepared = super().prepare_request(whole)
        defer_hooks(prepared, request.hooks, self.hooks)
        return prepared

    def resolve_redirects(
        self, resp: requests.Response, *args: Any, **kwargs: Any
    ) -> Generator[Any, None, None]:
        """As ``requests``, which fills ``Response.next`` from it; a target that cannot be parsed is skipped."""
        if resp.is_redirect:
            with suppress(ValueError):
                yield from super().resolve_redirects(resp, *args, **kwargs)

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """As ``requests.Session.send``; handles credentials, attempts and redirects."""
        plan: RequestPlan[Gate] = RequestPlan(policy=self.retry, options=kwargs, limits=self.limits)
        return self.deliver(request, plan).response

    def fetch(
        self,
        request: ApiRequest,
        *,
        decide: ResponseHandler | None = None,
        gate: Gate | None = None,
        admit: Admit | None = None,
        judge: Judge | None = None,
        once: bool = False,
    ) -> FetchResult:
        """The response to ``request``, which only reads: a POST is repeated like a GET.

        ``decide`` sees every response before the retry policy does. ``gate`` is passed before every attempt, instead of the
        session's own; ``admit`` may delay an attempt too. ``judge`` reads the response and may ask for another attempt,
        unless it is sent only ``once``; see ``RequestPlan``.
        """
        whole = self.resolve(request.path)
        prepared = self.prepare_request(build_request(request, whole))
        prepared.url = choose_url(request, prepared.url or "", whole)
        options = {"timeout": request.timeout, "allow_redirects": True, "stream": False}
        policy = replace(self.retry, retry_post=True)
        limits = self.limits.override(request.limits)
        plan = RequestPlan(policy, options, decide, gate, judge, limits, once, admit)
        return self.deliver(prepared, plan)

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
        primary_key: str | Sequence[str] | None = None,
        concurrency: Concurrency = 1,
    ) -> Generator[Any, None, None]:
        """Yields every record of every page, with the paging and the options that specs use.

        Texts in the request may place values of the page, as in specs: ``{{ page.token | default(omit) }}``, ``page.number``,
        ``page.offset`` and ``page.size`` (docs/paging.md). Other texts are sent as they are.

        Args:
            path: below the base URL.
            records: JMESPath of the records in a page; None takes the whole body.
            paginate: how to find the next page, such as ``PageNumberPaginator(size=100)``; None reads one page.
            params: query parameters; None leaves a name out, a list repeats it.
            json: JSON body.
            method: HTTP method; the request is treated as one that only reads.
            headers: for these requests only.
            responses: rules for responses; the first match decides.
            primary_key: path or paths of what names a record; records whose key came before are dropped, and rows that moved
                between pages raise ``PagesCutShort`` after the last record (docs/paging.md).
            concurrency: requests in flight: a number, or ``auto`` to find it while reading; docs/speed.md has the rules.

        Raises:
            ApiError: as ``pull`` raises.
            TemplateFailed: a value of the page is placed that the paginator, or page one, does not have.
        """
        from oauth_taskflow.api.pull.caps.past_cap import (  # noqa: PLC0415 - a fifth of this module's import time
            pull_records,
        )
        from oauth_taskflow.api.templated_request import (  # noqa: PLC0415 - as above
            fill_with_pages,
        )

        selector = records if isinstance(records, Records) else Records(path=records)
        request = fill_with_pages(
            ApiRequest(path, method, params or {}, headers or {}, json), paginate
        )
        return pull_records(
            self,
            request,
            paginate=paginate,
            records=selector,
            responses=responses,
            primary_key=primary_key,
            concurrency=concurrency,
            log=self.pulls,
        )

    def deliver(self, request: requests.PreparedRequest, plan: RequestPlan[Gate]) -> FetchResult:
        """Send ``request`` until a response is final."""
        credentials = self._auth.credentials_for(request)
        plan = self._choose_gate(plan, request)
        state = AttemptState(plan, self.origins)
        request.url = self.origins.accept(request.url or "")
        credentials.apply(request)
        while True:
            state.attempt += 1
            try:
                response = self._send_with_redirects(request, state, credentials)
            except ApiRequestFailed:
                raise
            except requests.RequestException as error:
                wait = plan.wait_after_error(error, request, state.attempt)
                self._pause(wait, request, PauseReason.of(error))
                credentials.apply(request)
                continue
            decision = first_decision(response, plan.decide, self._rules)
            if isinstance(response, ApiResponse):
                response.verdict = plan.verdict(decision, state.attempt)
            if state.wants_renewal(response, decision) and renew_credentials(
                credentials, request, response
            ):
                response.close()
                state.attempt -= 1
                continue
            result = state.settle(response, decision, request, self._clock.now())
            if result.wait is None:
                return result.finish(run_hooks(response, request, plan.options), decision)
            response.close()
            self._pause(result.wait, request, result.reason(response))
            credentials.apply(request)

    def _choose_gate(
        self, plan: RequestPlan[Gate], request: requests.PreparedRequest
    ) -> RequestPlan[Gate]:
        if self.budgets is None or plan.gate is not None:
            return plan
        return replace(plan, gate=self.budgets.find_gate(request.url or ""))

    def _pause(
        self, seconds: float, request: requests.PreparedRequest, reason: PauseReason
    ) -> None:
        self._pauses.note(seconds, request, reason)
        self._clock.sleep(seconds)

    def _send_with_redirects(
        self,
        request: requests.PreparedRequest,
        state: AttemptState,
        credentials: Credentials,
    ) -> requests.Response:
        """Send one attempt and follow its redirects; each hop passes the origin check."""
        plan, state.is_bare = state.plan, False
        options = {**plan.options}
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
        response = self._send_within_budget(request, options, plan, credentials)
        if not follow or not response.is_redirect:
            return response
        # A client certificate is a credential too, and every server that is connected to sees it (RFC 8705).
        bare = self._leave_bare and not options["cert"]
        redirects = Redirects(self, self.origins, credentials, leave_bare=bare)
        while self.get_redirect_target(response):
            following = redirects.next_request(run_hooks(response, request, options), request)
            response = self._send_within_budget(
                following, options, plan, redirects.credentials, is_hop=True
            )
            state.is_bare = redirects.is_bare
        response.history = redirects.history
        return response

    def _send_within_budget(
        self,
        request: requests.PreparedRequest,
        options: Mapping[str, Any],
        plan: RequestPlan[Gate],
        credentials: Credentials,
        *,
        is_hop: bool = False,
    ) -> requests.Response:
        """Send once, as soon as the request budgets allow it; another origin has no budget."""
        gate = plan.gate
        if gate is not None and (request.url or "") not in self.origins:
            gate = None
        permit = pass_gate(gate, None if is_hop else plan.admit)
        if permit is not None and permit.waited > LONG_WAIT:
            credentials.apply(request)
        with send_with(permit):
            response = self._send_once(request, options, plan.limits)
        remember_nonce(credentials, response)
        if gate is not None:
            gate.observe(response.headers)
        return response

    def _send_once(
        self,
        request: requests.PreparedRequest,
        options: Mapping[str, Any],
        limits: AnswerLimits,
    ) -> requests.Response:
        """Send once; reads the body within ``limits`` unless the response is streamed."""
        set_limits(request, limits)
        response = super().send(request, **{**options, "stream": True}, allow_redirects=False)
        if type(response) is requests.Response:
            response.__class__ = ApiResponse  # the author mounted another adapter
        streamed = options.get("stream", self.stream)
        if not isinstance(response, ApiResponse):
            _ = streamed or response.content
        elif not streamed:
            response.load()
        elif response.deadline is not None:
            response.deadline.lift()
        return response
