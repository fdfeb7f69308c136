"""The device authorization grant (RFC 8628): the person types a code elsewhere while this process asks and waits."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct, field
from msgspec.structs import replace

from oauth_taskflow.errors import AuthorizationFailed, OAuthTaskflowError, TokenRequestRejected
from oauth_taskflow.oauth.client import Params, TokenForm
from oauth_taskflow.oauth.endpoint.endpoint_request import DirectRequest
from oauth_taskflow.oauth.endpoint.expiry import lifetime
from oauth_taskflow.oauth.endpoint.outcomes import Failure, Granted, Rejected, Unusable
from oauth_taskflow.oauth.endpoint.retries import PauseObserver, ignore_pause
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import BaseGrant, GrantOptions
from oauth_taskflow.redaction import redact_address, redact_url
from oauth_taskflow.secret_values import Hidden, SecretValue

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
_DEFAULT_INTERVAL = 5.0
_SLOWER = 5.0
_LONGEST_INTERVAL = 60.0
_DEFAULT_LIFETIME = 600.0


class DeviceCode(BaseGrant, frozen=True):
    """The device code is traded as soon as the person has agreed (RFC 8628 §3.4)."""

    device_code: Hidden[str]
    options: GrantOptions = field(default_factory=GrantOptions)
    grant_type: ClassVar[str] = DEVICE_CODE
    single_use: ClassVar[bool] = True
    by_consent: ClassVar[bool] = True

    def form(self) -> TokenForm:
        """The parameters and headers to post; the scope was settled with the device code."""
        own: Params = (("grant_type", self.grant_type), ("device_code", self.device_code))
        return replace(self.options, scope="").form(own)

    def secrets(self) -> tuple[str, ...]:
        """The device code."""
        return (self.device_code,)


class DeviceAuthorization(SecretValue, frozen=True):
    """The codes and addresses to show to the person, and how long to ask how often (seconds).

    ``complete_uri`` holds the user code already; empty when the server gives none.
    """

    device_code: Hidden[str]
    user_code: str
    verification_uri: str
    complete_uri: str
    expires_in: float
    interval: float


class Pause(Struct, frozen=True):
    """Seconds until the next question; ``failure`` is why the last one had no answer, None while the person decides."""

    seconds: float
    failure: OAuthTaskflowError | None = None


def authorize_device(
    endpoint: TokenEndpoint, url: str, options: GrantOptions
) -> DeviceAuthorization:
    """Ask the device authorization endpoint ``url`` for codes (RFC 8628 §3.1).

    Raises:
        OAuthTaskflowError: the server refused or was not reached, or the answer lacks a code.
    """
    params: Params = (("client_id", endpoint.client.client_id), *options.common())
    _, fields = DirectRequest.from_params(params, options).send(endpoint, url)
    texts = {name: value for name, value in fields.items() if isinstance(value, str)}
    # verification_url is what Google calls it.
    uri = texts.get("verification_uri") or texts.get("verification_url") or ""
    device_code, user_code = texts.get("device_code", ""), texts.get("user_code", "")
    if not (device_code and user_code and uri):
        raise AuthorizationFailed(
            "The device authorization endpoint gave no device code",
            where=f"for connection {endpoint.conn_id!r} at {redact_url(url)}",
            hint="Check device_url of the connection.",
        )
    return DeviceAuthorization(
        device_code=device_code,
        user_code=user_code,
        verification_uri=uri,
        complete_uri=texts.get("verification_uri_complete", ""),
        expires_in=lifetime(fields.get("expires_in")) or _DEFAULT_LIFETIME,
        interval=lifetime(fields.get("interval")) or _DEFAULT_INTERVAL,
    )


def wait_for_device(
    endpoint: TokenEndpoint,
    device: DeviceAuthorization,
    options: GrantOptions,
    on_pause: PauseObserver = ignore_pause,
) -> Granted | Unusable:
    """Poll the token endpoint until the person has decided; sleeps on the endpoint's clock.

    An answer that cannot be used ends it too: the device code is spent.

    ``slow_down`` adds five seconds for good; a lost answer or a busy server doubles the interval (RFC 8628 §3.5).
    ``on_pause`` is called before pauses after such a failure.

    Raises:
        AuthorizationFailed: the person did not agree in time, or the server asks for a pause beyond that time.
        OAuthTaskflowError: the person or the server refused.
    """
    clock, pause = endpoint.clock, Pause(device.interval)
    end = clock.monotonic() + device.expires_in
    while clock.monotonic() + pause.seconds < end:
        if pause.failure is not None:
            on_pause(pause.failure, pause.seconds)
        clock.sleep(pause.seconds)
        decided = ask_once(endpoint, device.device_code, options, pause.seconds)
        if not isinstance(decided, Pause):
            return decided
        pause = decided
    raise expiry_error(endpoint, pause.failure)


def ask_once(
    endpoint: TokenEndpoint, device_code: str, options: GrantOptions, interval: float
) -> Granted | Unusable | Pause:
    """Ask the token endpoint one time whether the person has decided; a pause must pass before the next question.

    ``interval`` are the seconds that passed since the question before; see ``wait_for_device``.

    Raises:
        AuthorizationFailed: the device code has expired.
        OAuthTaskflowError: the person or the server refused.
    """
    outcome = endpoint.exchange(DeviceCode(device_code, options))
    if isinstance(outcome, Granted | Unusable):
        return outcome
    return _next_pause(endpoint, outcome, interval)


def _next_pause(endpoint: TokenEndpoint, outcome: Failure, interval: float) -> Pause:
    error = outcome.error
    if not isinstance(outcome, Rejected):
        doubled = min(interval * 2, _LONGEST_INTERVAL)
        return Pause(max(doubled, error.retry_after or 0.0, interval), error)
    code = error.error if isinstance(error, TokenRequestRejected) else ""
    if code == "slow_down":
        return Pause(interval + _SLOWER)
    if code == "authorization_pending":
        return Pause(interval)
    raise expiry_error(endpoint, said=" (expired_token)") if code == "expired_token" else error


def expiry_error(
    endpoint: TokenEndpoint, failure: OAuthTaskflowError | None = None, *, said: str = ""
) -> AuthorizationFailed:
    """The error about a device code that ends before the person decided, or after ``failure`` before it may be asked again."""
    what = f"The person did not agree before the device code expired{said}"
    if failure is not None:
        what = f"{failure.what}, and the device code ends before the next attempt"
    return AuthorizationFailed(
        what,
        retry_after=failure.retry_after if failure is not None else None,
        where=f"for connection {endpoint.conn_id!r} at {redact_address(endpoint.url)}",
        hint=f"Start again: airflow oauth login {endpoint.conn_id} --device",
    )
