"""One exchange with the API: which answers and failures are followed by another try, and after how long."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import requests
from msgspec import Struct

from oauth_taskflow.api.auth import (
    Credentials,
    OAuth2Auth,
    can_refresh_help,
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
from oauth_taskflow.api.request_secrets import redact_request_url
from oauth_taskflow.api.response import ApiResponse
from oauth_taskflow.api.response_limits import DEFAULT_LIMITS, AnswerLimits
from oauth_taskflow.api.response_rules import Decision
from oauth_taskflow.api.retry import RetryPolicy
from oauth_taskflow.errors import ApiError

if TYPE_CHECKING:
    import httpx

_log = logging.getLogger(__name__)

# With one, a server recognises the same request (draft-ietf-httpapi-idempotency-key-header).
_IDEMPOTENCY_KEY = "Idempotency-Key"
ResponseHandler = Callable[[requests.Response], Decision | None]
Judge = Callable[[requests.Response, Decision | None], Any]


class FetchResult(Struct, frozen=True):
    """The final response, the decision of the rule that matched it, and what the judge made of it."""

    response: requests.Response
    decision: Decision | None = None
    value: Any = None


class AttemptResult(Struct, frozen=True):
    """One answer after all who have a say: seconds until the next try, or a final ``value`` or ``error``."""

    wait: float | None = None
    value: Any = None
    error: ApiError | None = None

    def reason(self, response: requests.Response) -> str:
        """Why there is another try, for the log."""
        return f"HTTP {response.status_code}" if self.error is None else self.error.what

    def answer(self, response: requests.Response, decision: Decision | None) -> FetchResult:
        """The final answer.

        Raises:
            ApiError: what the judge raised.
        """
        if self.error is not None:
            raise self.error
        return FetchResult(response, decision, self.value)


def first_decision(response: requests.Response, *by: ResponseHandler | None) -> Decision | None:
    """The decision of the first of ``by`` that has one about ``response``."""
    for decide in by:
        if decide is not None and (decision := decide(response)) is not None:
            return decision
    return None


class RequestPlan(Struct, frozen=True):
    """How one request is carried out.

    ``options`` are those of ``requests.Session.send``. ``decide`` sees every answer before the policy does, ``gate``
    is called before every try, ``hold`` is told of rate-limit waits in seconds. ``judge`` reads each answer that is
    final by its status: it returns the ``value`` of the ``FetchResult``, or raises. An ``ApiError`` with ``retryable`` set
    asks for another try, which counts like all others. The last such error is raised when no try is left.
    ``limits`` are those of each answer.
    """

    policy: RetryPolicy
    options: Mapping[str, Any]
    decide: ResponseHandler | None = None
    gate: Callable[[], None] | None = None
    hold: Callable[[float], None] | None = None
    judge: Judge | None = None
    limits: AnswerLimits = DEFAULT_LIMITS

    def after_answer(
        self, response: requests.Response, decision: Decision | None, attempt: int, now: float
    ) -> float | None:
        """Seconds to wait before the next try; None when this answer is final.

        Raises:
            ApiStatusError: the server asks for a wait longer than ``policy.longest_wait``; see ``retry_after``.
        """
        if not self._tries_again(response, decision, attempt):
            return None
        policy, status = self.policy, response.status_code
        by_rule = decision is not None and decision.holds_all
        wait = policy.named_wait(status, response.headers, now, limited=by_rule)
        if wait is None and decision is not None:
            wait = decision.wait
        if wait is not None and wait > policy.longest_wait:
            raise self._too_long(response, wait, now)
        wait = wait or policy.backoff_seconds(attempt)  # zero or a date in the past would hammer
        if self.hold is not None and (by_rule or status == 429):
            self.hold(wait)
        return wait

    def after_error(
        self, error: requests.RequestException, request: requests.PreparedRequest, attempt: int
    ) -> float:
        """Seconds to wait before the next try after a network failure.

        Raises:
            ApiRequestFailed: there is none; ``ApiUnreachable`` or ``ApiTimeout`` where that is what happened.
        """
        transient = is_transient(error)
        safe = self._repeats(request) or is_unsent(error)
        if not (transient and safe and attempt < self.policy.attempts and rewind(request)):
            failure = network_error(error, request, retryable=transient, tries=attempt)
            raise failure from public_cause(error)
        return self.policy.backoff_seconds(attempt)

    def after_judgement(
        self, error: ApiError, request: requests.PreparedRequest, attempt: int
    ) -> float | None:
        """Seconds to wait before the next try after the judge raised ``error``; None when it is final."""
        repeats = error.retryable and self._repeats(request) and attempt < self.policy.attempts
        if not (repeats and rewind(request)):
            return None
        wait = error.retry_after or self.policy.backoff_seconds(attempt)
        return wait if wait <= self.policy.longest_wait else None

    def _tries_again(
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
        """What an error made of this answer, the last of ``tries``, must know; see ``status_error``."""
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
    """How far one exchange has come: tries so far, whether its token was renewed, and its proof given a nonce and a clock.

    Each of the three happens once.
    """

    exchange: RequestPlan
    origins: AllowedOrigins
    attempt: int = 0
    renewed: bool = False
    nonced: bool = False
    retimed: bool = False

    def settle(
        self,
        response: requests.Response,
        decision: Decision | None,
        request: requests.PreparedRequest,
        now: float,
    ) -> AttemptResult:
        """Whether ``response`` is followed by another try of ``request``, and what the judge makes of it if not.

        Raises:
            ApiStatusError: the server asks for a wait longer than ``policy.longest_wait``; see ``retry_after``.
        """
        exchange = self.exchange
        wait = exchange.after_answer(response, decision, self.attempt, now)
        if wait is not None and rewind(request):
            return AttemptResult(wait)
        if exchange.judge is None:
            return AttemptResult()
        try:
            return AttemptResult(value=exchange.judge(response, decision))
        except ApiError as error:
            wait = exchange.after_judgement(error, request, self.attempt)
            return AttemptResult(wait, error=error)

    def wants_renewal(self, response: requests.Response, decision: Decision | None) -> bool:
        """Whether to replay with another token or proof; a rule decides before the status does. True once each."""
        if self._wants_proof(response):
            return True
        wanted = decision.action == "refresh" if decision else can_refresh_help(response)
        # A foreign origin that a bare redirect led to was sent no token to refuse.
        if not wanted or self.renewed or response.url not in self.origins:
            return False
        self.renewed = True
        return True

    def _wants_proof(self, response: requests.Response) -> bool:
        if response.status_code != 401 or response.url not in self.origins:
            return False
        before = self.nonced, self.retimed
        self.nonced = self.nonced or wants_nonce(response)
        self.retimed = self.retimed or refuses_proof(response)
        return before != (self.nonced, self.retimed)


def renew_credentials(
    credentials: Credentials, request: requests.PreparedRequest, response: requests.Response
) -> bool:
    """Whether ``request``, which ``response`` refused, now holds another token or proof and can be sent again.

    Raises:
        ApiStatusError: its body is a stream that is used up.
        TokenRequestError: no other token could be had.
    """
    if isinstance(credentials, OAuth2Auth) and not rewind(request):
        raise status_error(
            response,
            hint="The body is a stream that cannot be sent again with a new token; pass bytes or a seekable file.",
        )
    if wants_nonce(response):
        credentials.apply(request)
        return True
    if isinstance(credentials, OAuth2Auth) and refuses_proof(response):
        return credentials.retimed(request, response)
    if credentials.renew(request):
        return True
    if isinstance(response, ApiResponse):
        response.verdict = add_kept_until(response.verdict, request)
    return False


def remember_nonce(credentials: Credentials, response: requests.Response | httpx.Response) -> None:
    """Let ``credentials`` know of every answer, those that are redirects too."""
    if isinstance(credentials, OAuth2Auth):
        credentials.remember_nonce(response)


def log_pause(seconds: float, request: requests.PreparedRequest, reason: str) -> None:
    """Tell why and how long ``request`` waits for its next try."""
    where = redact_request_url(request)
    _log.info("%s from %s %s; next try in %.1f s", reason, request.method, where, seconds)
