"""One call of the API to see whether it accepts what a connection sends."""

from __future__ import annotations

import threading

from msgspec import Struct

from oauth_taskflow.api.retry import RetryPolicy
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.connections.settings import ConnectionSettings
from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.redaction import redact_url
from oauth_taskflow.taskflow.config import is_broker_configured
from oauth_taskflow.taskflow.sessions import session_for

# Seconds that a person in front of a page waits; the call itself may go on.
PATIENCE = 20.0


class TrialResult(Struct, frozen=True):
    """Whether the API accepted the call, and one sentence about it without secrets."""

    ok: bool
    text: str


def call_api(session: OAuthSession, settings: ConnectionSettings) -> TrialResult:
    """Call the base URL of ``settings``. Only 401 and 403 count against the credentials.

    Raises:
        OAuthTaskflowError: no token was obtained, or the API did not answer.
    """
    status = session.get("").status_code
    answer = f"HTTP {status} from {redact_url(settings.base_url, settings.url_secrets)}"
    if status in {401, 403}:
        return TrialResult(ok=False, text=f"The credentials were refused: {answer}.")
    return TrialResult(ok=True, text=f"The API answered: {answer}.")


def try_call(settings: ConnectionSettings, patience: float = PATIENCE) -> TrialResult:
    """The result of one call, without repetitions, within ``patience`` seconds. It never raises."""
    results: list[TrialResult] = []
    thread = threading.Thread(
        target=lambda: results.append(_call_once(settings)),
        name="oauth_taskflow-trial",
        daemon=True,
    )
    # In a separate thread: a request budget that is used up, or an API that hangs, must not occupy the server's thread.
    thread.start()
    thread.join(patience)
    if results:
        return results[0]
    return TrialResult(ok=False, text=f"The API did not answer within {patience:g} s.")


def _call_once(settings: ConnectionSettings) -> TrialResult:
    try:
        with session_for(
            settings, retry=RetryPolicy(attempts=1), brokered=is_broker_configured()
        ) as session:
            return call_api(session, settings)
    except OAuthTaskflowError as error:
        return TrialResult(ok=False, text=str(error))
    except Exception as bug:  # noqa: BLE001  # its text may hold a secret
        return TrialResult(ok=False, text=f"The call failed ({type(bug).__name__}).")
