"""Decides for one request which responses and failures are followed by another attempt, and after what wait."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import requests
from msgspec import Struct
from msgspec.structs import replace

from oauth_taskflow.api.auth import (
    Credentials,
    can_refresh_help,
    find_oauth,
    refuses_proof,
    rewind,
    wants_nonce,
)
from oauth_taskflow.api.errors import ApiStatusError, RetryVerdict, add_kept_until, status_error
from oauth_taskflow.api.network_errors import (
    is_transient,
    is_unsent,
    network_error,
    public_cause,
)
from oauth_taskflow.api.origins import AllowedOrigins
from oauth_taskflow.api.pauses import PauseReason
from oauth_taskflow.api.rate_limit import Gate, Holds, Permit
from oauth_taskflow.api.response import ApiResponse
from oauth_taskflow.api.response_limits import DEFAULT_LIMITS, AnswerLimits
from oauth_taskflow.api.response_rules import Decision
from oauth_taskflow.api.retry import RetryPolicy, is_used_up
from oauth_taskflow.errors import ApiError

if TYPE_CHECKING:
    import httpx

# This header lets a server recognise a repeated request (draft-ietf-httpapi-idempotency-key-header).
_IDEMPOTENCY_KEY = "Idempotency-Key"
# Seconds at the gate after which credentials may be stale.
LONG_WAIT = 5.0
ResponseHandler = Callable[[requests.Response], Decision | None]
Admit = Callable[[Callable[[], None] | None], None]
Judge = Callable[[requests.Response, Decision | None], Any]
GateT = TypeVar("GateT", bound=Holds)


class FetchResult(Struct, frozen=True):
    """The final response, the decision of the rule that matched it, and the value that the judge returned."""

    response: requests.Response
    decision: Decision | None = None
    value: Any = None


class AttemptResult(Struct, frozen=True):
    """The outcome of one attempt: ``wait`` in seconds before the next attempt, or a final ``value`` or ``error``."""

    wait: float | None = None
    value: Any = None
    error: ApiError | None = None

    def reason(self, response: requests.Response) -> PauseReason:
        """The reason for another attempt."""
        if self.error is None:
            status = f"HTTP {response.status_code}"
            return PauseReason(status, status)
        return PauseReason(self.error.what, type(self.error).__name__)

    def finish(self, response: requests.Response, decision: Decision | None) -> FetchResult:
        """The final result.

        Raises:
            ApiError: the error that the judge raised.
        """
        if self.error is not None:
            raise self.error
        return FetchResult(response, decision, self.value)


def first_decision(
    response: requests.Response, *handlers: ResponseHandler | None
) -> Decision | None:
    """The decision of the first of ``handlers`` that has one about ``response``."""
    for decide in handlers:
        if decide is not None and (decision := decide(response)) is not None:
            return decision
    return None


def pass_gate(gate: Gate | None, admit: Admit | None) -> Permit | None:
    """Wait until ``admit`` and the budgets allow an attempt; returns the right that the budgets gave."""
    if admit is None:
        return None if gate is None else gate.acquire()
    permit: Permit | None = None

    def wait_for_budget() -> None:
        nonlocal permit
        permit = gate.acquire() if gate is not None else None

    admit(None if gate is None else wait_for_budget)
    return permit


class RequestPlan(Struct, Generic[GateT], frozen=True):
    """How one request is sent and retried.

    ``options`` are those of ``requests.Session.send``. ``limits`` apply to each response. ``decide`` sees every response
    before the policy does, and ``gate`` is passed before every attempt and learns of rate-limit waits. ``admit`` is called
    before every attempt with what waits at the gate.

    ``judge`` reads each response that is final by its status. It returns the ``value`` of the ``FetchResult``, or raises.
    An ``ApiError`` with ``retryable`` set asks for another attempt, which counts like all others. When no attempt is
    left, the last such error is raised.

    With ``once``, an attempt that another one would follow after a wait is final.
    """

    policy: RetryPolicy
    options: Mapping[str, Any]
    decide: ResponseHandler | None = None
    gate: GateT | None = None
    judge: Judge | None = None
    limits: AnswerLimits = DEFAULT_LIMITS
    once: bool = False
    admit: Admit | None = None

    def wait_after_response(
        self, response: requests.Response, decision: Decision | None, attempt: int, now: float
    ) -> float | None:
        """Seconds to wait before the next attempt; None when this response is final.

        A used-up limit holds the gate either way, because it concerns the requests of all workers.

        Raises:
            ApiStatusError: the server asks for a wait longer than ``policy.longest_wait``; see ``retry_after``.
        """
        may_retry = self._may_retry(response, decision, attempt)
        by_rule = decision is not None and decision.holds_all
        is_limited = by_rule or is_used_up(response.status_code, response.headers)
        gate = self.gate if is_limited else None
        if gate is None and not may_retry:
            return None
        named = self._named_wait(response, decision, now)
        # Zero or a date in the past would repeat at once.
        wait = named or self.policy.backoff_seconds(attempt)
        if gate is not None:
            gate.hold(wait)
        if not may_retry:
            return None
        if named is not None and named > self.policy.longest_wait:
            raise self._too_long(response, named, now)
        return None if self.once else wait

    def _named_wait(
        self, response: requests.Response, decision: Decision | None, now: float
    ) -> float | None:
        """The wait in seconds that the rule behind ``decision`` or ``response`` names."""
        if decision is not None and decision.is_named:
            return decision.wait
        limited = decision is not None and decision.holds_all
        wait = self.policy.server_wait(response.status_code, response.headers, now, limited=limited)
        return decision.wait if wait is None and decision is not None else wait

    def wait_after_error(
        self, error: requests.RequestException, request: requests.PreparedRequest, attempt: int
    ) -> float:
        """Seconds to wait before the next attempt after a network failure.

        Raises:
            ApiRequestFailed: no attempt is left; ``ApiUnreachable`` or ``ApiTimeout`` where one of them fits.
        """
        transient = is_transient(error)
        safe = (self._repeats(request) or is_unsent(error)) and not self.once
        if not (transient and safe and attempt < self.policy.attempts and rewind(request)):
            failure = network_error(error, request, retryable=transient, tries=attempt)
            raise failure from public_cause(error)
        return self.policy.backoff_seconds(attempt)

    def wait_after_judgement(
        self, error: ApiError, request: requests.PreparedRequest, attempt: int
    ) -> float | None:
        """Seconds to wait before the next attempt after the judge raised ``error``; None when the error is final."""
        repeats = error.retryable and self._repeats(request) and not self.once
        repeats = repeats and attempt < self.policy.attempts
        if not (repeats and rewind(request)):
            return None
        wait = error.retry_after or self.policy.backoff_seconds(attempt)
        return wait if wait <= self.policy.longest_wait else None

    def _may_retry(
        self, response: requests.Response, decision: Decision | None, attempt: int
    ) -> bool:
        if decision is not None:
            return decision.action in {"retry", "rate_limit"} and attempt < decision.max_attempts
        policy = self.policy
        return (
            policy.transient(response.status_code, response.headers)
            and self._repeats(response.request)
            and attempt < policy.attempts
        )

    def verdict(self, decision: Decision | None, tries: int) -> RetryVerdict:
        """The facts that ``status_error`` needs about this response, the last of ``tries``."""
        if decision is None or decision.action not in {"retry", "rate_limit"}:
            return RetryVerdict(self.policy, tries=tries)
        return RetryVerdict(
            self.policy,
            may_pass=True,
            wait=decision.wait,
            limited=decision.holds_all,
            tries=tries,
        )

    def _repeats(self, request: requests.PreparedRequest) -> bool:
        return self.policy.repeats(request.method) or bool(request.headers.get(_IDEMPOTENCY_KEY))

    def _too_long(self, response: requests.Response, wait: float, now: float) -> ApiStatusError:
        error = status_error(
            response,
            hint=f"The API asks to wait {wait:.0f} s, longer than a worker slot is held for; retry the task later.",
            policy=self.policy,
            now=now,
        )
        error.retryable, error.retry_after = True, wait
        return error


class AttemptState(Struct):
    """The progress of one request: attempts so far, and which of the three remedies were used.

    A renewed token, a proof with the API's nonce and a proof with the API's clock are each tried once. ``is_bare`` says
    that the last response answers a hop without credentials; see ``OriginExit``.
    """

    plan: RequestPlan[Any]
    origins: AllowedOrigins
    attempt: int = 0
    renewed: bool = False
    used_nonce: bool = False
    used_clock: bool = False
    is_bare: bool = False

    def settle(
        self,
        response: requests.Response,
        decision: Decision | None,
        request: requests.PreparedRequest,
        now: float,
    ) -> AttemptResult:
        """Whether ``response`` is followed by another attempt of ``request``, else the verdict of the judge.

        Raises:
            ApiStatusError: the server asks for a wait longer than ``policy.longest_wait``; see ``retry_after``.
        """
        plan = self.plan
        if self.is_bare and response.url not in self.origins:
            plan = replace(plan, gate=None)  # the limit of another origin is none of the API's
        wait = plan.wait_after_response(response, decision, self.attempt, now)
        if wait is not None and rewind(request):
            return AttemptResult(wait)
        if plan.judge is None:
            return AttemptResult()
        try:
            return AttemptResult(value=plan.judge(response, decision))
        except ApiError as error:
            wait = plan.wait_after_judgement(error, request, self.attempt)
            return AttemptResult(wait, error=error)

    def wants_renewal(self, response: requests.Response, decision: Decision | None) -> bool:
        """Whether to replay with another token or proof; a rule decides before the status. True once for each remedy."""
        if self._wants_proof(response):
            return True
        wanted = decision.action == "refresh" if decision else can_refresh_help(response)
        # A hop without credentials brought no token that could be refused.
        if not wanted or self.renewed or self.is_bare:
            return False
        self.renewed = True
        return True

    def _wants_proof(self, response: requests.Response) -> bool:
        if response.status_code != 401 or self.is_bare:
            return False
        before = self.used_nonce, self.used_clock
        self.used_nonce = self.used_nonce or wants_nonce(response)
        self.used_clock = self.used_clock or refuses_proof(response)
        return before != (self.used_nonce, self.used_clock)


def renew_credentials(
    credentials: Credentials, request: requests.PreparedRequest, response: requests.Response
) -> bool:
    """Put another token or proof on ``request`` after ``response`` refused it; False without another one.

    Raises:
        ApiStatusError: the body is a stream that cannot be sent again.
        TokenRequestError: no other token could be obtained.
    """
    oauth = find_oauth(credentials)
    if oauth is not None and not rewind(request):
        raise status_error(
            response,
            hint="The body is a stream that cannot be sent again with a new token; pass bytes or a seekable file.",
        )
    if wants_nonce(response):
        credentials.apply(request)
        return True
    if oauth is not None and refuses_proof(response):
        return oauth.correct_clock(request, response)
    if credentials.renew(request):
        return True
    if isinstance(response, ApiResponse):
        response.verdict = add_kept_until(response.verdict, request)
    return False


def remember_nonce(credentials: Credentials, response: requests.Response | httpx.Response) -> None:
    """Let ``credentials`` remember the nonce of every response, redirects included."""
    oauth = find_oauth(credentials)
    if oauth is not None:
        oauth.remember_nonce(response)
