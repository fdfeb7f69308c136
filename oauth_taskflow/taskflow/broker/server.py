"""The broker on the API server: which connections are brokered, and the token of each."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import TypeAlias

from oauth_taskflow.clock import SYSTEM_CLOCK
from oauth_taskflow.connections.parse import AirflowConnection, may_hold_grant
from oauth_taskflow.connections.settings import (
    ConnectionSettings,
    LoginSettings,
    OAuth2Settings,
    SelfSignedSettings,
)
from oauth_taskflow.errors import ConnectionConfigError, LeaseTimeout
from oauth_taskflow.oauth.token import Token, TokenSource
from oauth_taskflow.taskflow.broker.protocol import hash_token
from oauth_taskflow.taskflow.connection_lookup import read_settings
from oauth_taskflow.taskflow.sessions import token_source

# Workers abandon a request to the Execution API after 5 s ([workers] execution_api_timeout) and repeat it.
_ANSWER_WITHIN = 4.0
_CallKey: TypeAlias = tuple[int, TokenSource, str]
# Teams may have connections of the same id: each token source belongs to one team's connection as it is now.
_sources: dict[tuple[str, str], tuple[ConnectionSettings, TokenSource]] = {}
_calls: dict[_CallKey, Future[Token]] = {}


def read_brokered_settings(connection: AirflowConnection) -> ConnectionSettings | None:
    """The settings of a connection whose secrets stay here; None for one that is handed out unchanged.

    Raises:
        ConnectionConfigError: it is a connection of this package, and a field of it is wrong.
    """
    if not may_hold_grant(connection):
        return None
    settings = read_settings(connection)
    if not isinstance(settings.auth, OAuth2Settings | LoginSettings | SelfSignedSettings):
        return None
    if isinstance(settings.auth, OAuth2Settings) and settings.auth.dpop:
        raise _refusal(
            settings, "A token that is bound to a key cannot be handed out by the broker", "dpop"
        )
    for name, value in (
        ("api_params", settings.api_params),
        ("api_body", settings.api_body),
        ("host", settings.url_secrets),
    ):
        if value:
            what = f"Each request needs the secrets in {name}, which the broker does not hand out"
            raise _refusal(settings, what, name)
    return settings


def _refusal(settings: ConnectionSettings, what: str, name: str) -> ConnectionConfigError:
    remove = "Keep secrets out of it" if name == "host" else f"Remove {name}"
    return ConnectionConfigError(
        what,
        conn_id=settings.conn_id,
        field=name,
        hint=f"{remove}, or give this connection to workers directly, in [workers] secrets_backend or "
        f"AIRFLOW_CONN_{settings.conn_id.upper()}.",
    )


def fetch_token(
    settings: ConnectionSettings, refused: str = "", team: str = ""
) -> tuple[Token, float]:
    """A usable token other than the one whose digest is ``refused``, and the current time.

    ``team`` owns the connection, where Airflow has teams.

    Raises:
        LeaseTimeout: the refresh takes longer than a worker waits; the next question joins the running refresh.
        TokenRequestError: the token endpoint gave no token.
        TokenStoreError: the store failed.
    """
    source = _find_source(settings, team)
    key = (os.getpid(), source, refused)
    own: Future[Token] = Future()
    call = _calls.setdefault(key, own)
    if call is own:
        # In a separate thread: a token endpoint that hangs must not occupy one of the API server's few.
        thread = threading.Thread(target=_run_call, args=(key, own), name="oauth_taskflow-broker")
        try:
            thread.start()
        except (
            BaseException
        ):  # out of threads: the next question must not wait for a call that never ends
            _calls.pop(key, None)
            raise
    try:
        token = call.result(_ANSWER_WITHIN)
    except NotYet:
        raise LeaseTimeout(
            f"The token is still being refreshed after {_ANSWER_WITHIN:g} s",
            where=f"for connection {settings.conn_id!r} on the API server",
            hint="Ask again.",
            retry_after=1.0,
        ) from None
    if token.token_type.lower() != "bearer":
        raise ConnectionConfigError(
            f"A token of type {token.token_type} is bound to a key that stays on the API server",
            conn_id=settings.conn_id,
            hint="Such connections cannot be brokered: leave DPoP out, or use the token store without the broker.",
        )
    return token, SYSTEM_CLOCK.now()


def _run_call(key: _CallKey, call: Future[Token]) -> None:
    _, source, refused = key
    try:
        token = source.token()
        if refused and hash_token(token.access_token) == refused:
            token = source.replace_refused(token.access_token)
    except BaseException as failure:  # noqa: BLE001 - it is raised by the thread that waits for the answer
        _calls.pop(key, None)
        call.set_exception(failure)
        return
    _calls.pop(key, None)
    call.set_result(token)


def _find_source(settings: ConnectionSettings, team: str = "") -> TokenSource:
    """The token source of the connection; it is kept, so that its token in memory serves the next question."""
    kept = _sources.get((team, settings.conn_id))
    if kept is not None and kept[0] == settings:
        return kept[1]
    source = token_source(settings, brokered=True)
    assert source is not None, "only kinds with a token source are brokered"
    _sources[team, settings.conn_id] = settings, source
    return source
