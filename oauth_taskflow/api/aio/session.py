"""The ``httpx.AsyncClient`` that authenticates every request and talks only to allowed origins."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NoReturn, TypeVar

import httpx
import requests
from msgspec.structs import replace

from oauth_taskflow.api.additions import credentials_of_caller, hidden_by
from oauth_taskflow.api.aio.budgets import AsyncGate, AsyncPermit, with_async_gate
from oauth_taskflow.api.aio.errors import AsyncApiResponse, to_httpx_error
from oauth_taskflow.api.aio.hooks import HookedClient
from oauth_taskflow.api.aio.redirects import AsyncRedirects
from oauth_taskflow.api.aio.sending import send_once
from oauth_taskflow.api.aio.transport import (
    httpx_timeout,
    keep_queries_out_of_logs,
    proxy_mounts,
    tls_context,
)
from oauth_taskflow.api.aio.views import copy_from_view, error_view, request_view, response_view
from oauth_taskflow.api.auth import Credentials, NoAuth, OAuth2Auth
from oauth_taskflow.api.errors import ApiStatusError
from oauth_taskflow.api.exchange import (
    LONG_WAIT,
    Admit,
    AttemptState,
    FetchResult,
    Judge,
    RequestPlan,
    ResponseHandler,
    first_decision,
    remember_nonce,
    renew_credentials,
)
from oauth_taskflow.api.origins import AllowedOrigins
from oauth_taskflow.api.outgoing import build_request, choose_url, default_headers
from oauth_taskflow.api.paginators import Paginate
from oauth_taskflow.api.pauses import PauseLog, PauseReason
from oauth_taskflow.api.pull.aio import pull_records_async
from oauth_taskflow.api.pull.pull_log import session_log
from oauth_taskflow.api.pull.records import AbsentRecords, Records
from oauth_taskflow.api.rate_limit import GateKeeper
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.api.response_limits import DEFAULT_LIMITS, AnswerLimits
from oauth_taskflow.api.response_rules import ResponseRule, Rules
from oauth_taskflow.api.retry import RetryPolicy
from oauth_taskflow.api.session import Timeout, copy_refusal
from oauth_taskflow.api.templated_request import fill_with_pages
from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.errors import ApiRequestFailed
from oauth_taskflow.oauth.token import TokenSource
from oauth_taskflow.schema.types import Concurrency

# At most this many coroutines wait for a token in threads: asyncio's pool is small and Airflow needs it too.
_THREADS = 4
T = TypeVar("T")


class AsyncOAuthSession(HookedClient):
    """``OAuthSession`` for ``async`` code: an ``httpx.AsyncClient`` for one API.

    Base URL, allowed origins, redirects, time-outs, attempts, waits, the replay after a 401 and ``paginate`` work as in
    ``OAuthSession``. Both share one token source: one refresh serves all threads and event loops. Tokens are fetched in
    worker threads, so that the event loop never blocks.

    Responses are those of ``httpx``. ``raise_for_status`` raises ``ApiStatusError``, which is also an
    ``httpx.HTTPStatusError``. Network failures raise ``ApiUnreachable`` or ``ApiTimeout``, which are also the exceptions
    of ``httpx``, such as ``httpx.ConnectError``. Unlike a plain ``AsyncClient`` it follows redirects.

    Raises:
        ConnectionConfigError: ``base_url`` or an allowed origin is not an http or https URL, or a certificate file or a
            proxy cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        auth: Credentials | TokenSource | None = None,
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
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        verify: bool | str = True,
        cert: str | tuple[str, str] | None = None,
        proxies: Mapping[str, str] | None = None,
        budgets: GateKeeper | None = None,
    ) -> None:
        self._credentials = _credentials(auth)
        hidden = hidden_by(self._credentials)
        self.origins = AllowedOrigins.for_connection(conn_id, base_url, allowed_origins, hidden)
        keep_queries_out_of_logs()
        context = tls_context(verify=verify, cert=cert, conn_id=conn_id)
        super().__init__(
            base_url=base_url,
            headers={**default_headers(), **(headers or {})},
            timeout=httpx_timeout(timeout),
            follow_redirects=True,
            max_redirects=requests.models.DEFAULT_REDIRECT_LIMIT,
            verify=context,
            mounts=proxy_mounts(proxies or {}, context, conn_id),
            trust_env=False,
        )
        self._root = base_url.rstrip("/")
        self.conn_id = conn_id
        self.retry = retry or RetryPolicy()
        self._rules = Rules(responses)
        self.limits, self.budgets, self.absent_records = limits, budgets, absent_records
        # A client certificate is a credential too, and every server that is connected to sees it (RFC 8705).
        self._leave_bare = foreign_redirects == "bare" and cert is None
        self._clock, self._sleep, self._pauses = clock, sleep, PauseLog(clock)
        self.pulls = session_log(self, clock)
        self._threads = asyncio.Semaphore(_THREADS)
        self.event_hooks = {}

    def __repr__(self) -> str:
        return f"<AsyncOAuthSession for {self.origins.names[0]}>"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise copy_refusal(self.origins.names[0])

    def resolve(self, url: str) -> str:
        """The absolute URL for ``url``, which may be relative to the base URL.

        Raises:
            ForeignOriginRefused: it leads outside the allowed origins.
        """
        return self.origins.resolve(url, self._root)

    def build_request(self, method: str, url: httpx.URL | str, **kwargs: Any) -> httpx.Request:
        """As ``httpx.AsyncClient.build_request``, with ``url`` resolved by ``resolve``."""
        return super().build_request(method, self.resolve(str(url)), **kwargs)

    async def send(
        self,
        request: httpx.Request,
        *,
        stream: bool = False,
        auth: Any = httpx.USE_CLIENT_DEFAULT,
        follow_redirects: Any = httpx.USE_CLIENT_DEFAULT,
    ) -> httpx.Response:
        """As ``httpx.AsyncClient.send``; handles credentials, attempts and redirects.

        Raises:
            ApiUnreachable: all attempts failed to connect, or the connection broke.
            ApiTimeout: all attempts timed out.
            ApiRequestFailed: the server named a wait longer than ``retry.longest_wait``; see ``retry_after``.
            ForeignOriginRefused: the URL or a redirect leads elsewhere.
            TokenRequestError: no token could be obtained.
        """
        if auth is httpx.USE_CLIENT_DEFAULT and self.auth is not None:
            auth = self.auth
        own = auth is httpx.USE_CLIENT_DEFAULT
        if follow_redirects is httpx.USE_CLIENT_DEFAULT:
            follow_redirects = self.follow_redirects
        used = None if own else auth
        options = {"auth": used, "stream": stream, "follow": bool(follow_redirects)}
        credentials = self._credentials if own else credentials_of_caller(self._credentials)
        plan: RequestPlan[AsyncGate] = RequestPlan(self.retry, options, limits=self.limits)
        return (await self._deliver(request, credentials, plan))[0]

    async def fetch(
        self,
        request: ApiRequest,
        *,
        decide: ResponseHandler | None = None,
        judge: Judge | None = None,
        once: bool = False,
        admit: Admit | None = None,
    ) -> FetchResult:
        """The response to ``request``, which only reads: a POST is repeated like a GET.

        ``decide`` sees every response before the retry policy does. ``judge`` reads it and may ask for another attempt,
        unless it is sent only ``once``. ``admit`` is called when an attempt begins; see ``RequestPlan``. The response is a view of the one of ``httpx``.
        """
        whole = self.resolve(request.path)
        outgoing = self.convert_request(build_request(request, whole), request.timeout)
        outgoing.url = httpx.URL(choose_url(request, str(outgoing.url), whole))
        policy = replace(self.retry, retry_post=True)
        options = {"auth": None, "stream": False, "follow": True}
        limits = self.limits.override(request.limits)
        plan: RequestPlan[AsyncGate] = RequestPlan(
            policy, options, decide, judge=judge, limits=limits, once=once, admit=admit
        )
        return (await self._deliver(outgoing, self._credentials, plan))[1]

    def convert_request(
        self, request: requests.Request, timeout: Timeout | None = None
    ) -> httpx.Request:
        """``request`` as ``requests`` would send it, with the headers and cookies of this session."""
        prepared = request.prepare()
        limits = {} if timeout is None else {"timeout": httpx_timeout(timeout)}
        body = prepared.body
        return self.build_request(
            prepared.method or "GET",
            prepared.url or "",
            headers=dict(prepared.headers),
            content=body.encode() if isinstance(body, str) else body,
            **limits,
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
        primary_key: str | Sequence[str] | None = None,
        concurrency: Concurrency = 1,
    ) -> AsyncGenerator[Any, None]:
        """Yields every record of every page; arguments and errors are those of ``OAuthSession.paginate``.

        The next page, or with ``prefetch`` the next few, are requested while records are consumed.
        """
        selector = records if isinstance(records, Records) else Records(path=records)
        request = fill_with_pages(
            ApiRequest(path, method, params or {}, headers or {}, json), paginate
        )
        return pull_records_async(
            self,
            request,
            paginate=paginate,
            records=selector,
            responses=responses,
            primary_key=primary_key,
            concurrency=concurrency,
            log=self.pulls,
        )

    async def _deliver(
        self, request: httpx.Request, credentials: Credentials, plan: RequestPlan[AsyncGate]
    ) -> tuple[httpx.Response, FetchResult]:
        """Send ``request`` until a response is final; returns it and the result of the decisions about it."""
        async with with_async_gate(plan, self.budgets, str(request.url), self._sleep) as gated:
            return await self._repeat(request, credentials, gated)

    async def _repeat(
        self, request: httpx.Request, credentials: Credentials, plan: RequestPlan[AsyncGate]
    ) -> tuple[httpx.Response, FetchResult]:
        state = AttemptState(plan, self.origins)
        request.url = httpx.URL(self.origins.accept(str(request.url)))
        await self._sign(request, credentials)
        while True:
            state.attempt += 1
            try:
                response = await self._send_with_redirects(request, credentials, state)
            except ApiRequestFailed:
                raise
            except httpx.RequestError as error:
                await self._wait_after_error(error, request, state)
                await self._sign(request, credentials)
                continue
            view = response_view(response)
            decision = first_decision(view, plan.decide, self._rules)
            response.verdict = view.verdict = plan.verdict(decision, state.attempt)
            try:
                wanted = state.wants_renewal(view, decision)
                if wanted and await self._renew(credentials, request, view):
                    await response.aclose()
                    state.attempt -= 1
                    continue
                response.verdict = view.verdict
                result = state.settle(view, decision, request_view(request), self._clock.now())
            except ApiStatusError as error:
                await response.aclose()
                raise to_httpx_error(error, response.request, response) from None
            if result.wait is None:
                await self._run_hooks(response)
                return response, result.finish(view, decision)
            await response.aclose()
            await self._pause(result.wait, request, result.reason(view))
            await self._sign(request, credentials)

    async def _wait_after_error(
        self, error: httpx.RequestError, request: httpx.Request, state: AttemptState
    ) -> None:
        """Wait for the next attempt.

        Raises:
            ApiRequestFailed: no attempt is left.
        """
        view = request_view(request)
        try:
            wait = state.plan.wait_after_error(error_view(error), view, state.attempt)
        except ApiRequestFailed as failure:
            raise to_httpx_error(failure, request, foreign=type(error)) from failure.__cause__
        await self._pause(wait, request, PauseReason.of(error))

    async def _send_with_redirects(
        self, request: httpx.Request, credentials: Credentials, state: AttemptState
    ) -> AsyncApiResponse:
        """Send one attempt and follow its redirects; each hop passes the origin check."""
        plan, state.is_bare = state.plan, False
        options = plan.options
        redirects = AsyncRedirects(
            request,
            self.origins,
            credentials,
            most=self.max_redirects,
            leave_bare=self._leave_bare,
        )
        response = await self._send_within_budget(request, credentials, plan)
        while options["follow"] and response.next_request and response.headers["Location"]:
            await self._run_hooks(response)
            await response.aclose()
            hop = redirects.next_request(response, response.next_request)
            if redirects.is_bare:
                options = {**options, "auth": None}
            else:
                await self._sign(hop, redirects.credentials)
            gate = plan.gate if str(hop.url) in self.origins else None
            hop_plan = replace(plan, options=options, gate=gate, admit=None)
            response = await self._send_within_budget(hop, redirects.credentials, hop_plan)
            state.is_bare = redirects.is_bare
        response.history = redirects.history
        return response

    async def _send_within_budget(
        self, request: httpx.Request, credentials: Credentials, plan: RequestPlan[AsyncGate]
    ) -> AsyncApiResponse:
        """Send once, as soon as the request budgets allow it."""
        gate = plan.gate
        permit = await gate.pass_gate() if gate is not None else None
        if plan.admit is not None:
            plan.admit(None)  # the time at the gate is not the API's
        if permit is not None and permit.waited > LONG_WAIT:
            await self._sign(request, credentials)
        response = await self._send_once(request, plan.options, plan.limits, permit)
        remember_nonce(credentials, response)
        if gate is not None:
            await gate.learn(response.headers)
        return response

    async def _sign(self, request: httpx.Request, credentials: Credentials) -> None:
        """Put ``credentials`` on ``request``; waits for a token if necessary."""
        view = request_view(request)
        await self._in_thread(credentials.apply, view)
        copy_from_view(view, request)

    async def _renew(
        self, credentials: Credentials, request: httpx.Request, answer: requests.Response
    ) -> bool:
        view = request_view(request)
        renewed = await self._in_thread(renew_credentials, credentials, view, answer)
        copy_from_view(view, request)
        return renewed

    async def _in_thread(self, work: Callable[..., T], *args: Any) -> T:
        async with self._threads:
            return await asyncio.to_thread(work, *args)

    async def _pause(self, seconds: float, request: httpx.Request, reason: PauseReason) -> None:
        self._pauses.note(seconds, request_view(request), reason)
        await self._sleep(seconds)

    async def _send_once(
        self,
        request: httpx.Request,
        options: Mapping[str, Any],
        limits: AnswerLimits,
        permit: AsyncPermit | None,
    ) -> AsyncApiResponse:
        """Send once; reads the body within ``limits`` unless the response is streamed."""
        self._use_request_hooks()
        return await send_once(super().send, request, options, limits, permit)


def _credentials(auth: Credentials | TokenSource | None) -> Credentials:
    if auth is None:
        return NoAuth()
    return auth if isinstance(auth, Credentials) else OAuth2Auth(auth)
