"""The server as tests use it: authorization server and API on one loopback port, in threads of this process."""

from __future__ import annotations

import json
import ssl
import threading
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.testing import introspection
from oauth_taskflow.testing.api import AirportApi, StaticCredentials
from oauth_taskflow.testing.assertion_grants import register
from oauth_taskflow.testing.authorization import TokenPolicy, TokenServer
from oauth_taskflow.testing.authorization_pages import AUTHORIZE_PATH, DEVICE_PATH, ConsentDesk
from oauth_taskflow.testing.control import control
from oauth_taskflow.testing.dpop import DpopGate
from oauth_taskflow.testing.faults import Fault, FaultScript
from oauth_taskflow.testing.request_log import Counters, LoggedRequest, RequestLog
from oauth_taskflow.testing.routes import REVOKE_PATH, TOKEN_PATH, Application
from oauth_taskflow.testing.server_state import Client, ServerState
from oauth_taskflow.testing.transport import Listener

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on

SCOPES = ("airports.read", "airports.write", "offline_access")
_FIELDS = ("conn_type", "description", "host", "login", "password", "port", "schema")


class OAuthTestServer:
    """An authorization server with an API behind it.

    ``token_lifetime`` (seconds, fractions allowed; None: unlimited), ``rotate`` and ``grace`` (seconds) are those of
    :class:`~oauth_taskflow.testing.authorization.TokenPolicy`. The attribute ``policy`` changes these and the other
    options at any time, ``desk`` decides for the person who is asked to agree, and ``dpop`` requires DPoP.

    ``client_auth`` lists the client authentication methods of the one registered client (``none`` alone makes it
    public); ``state.clients`` accepts more clients. Connections and issued tokens name the first of ``scopes``.
    ``latency`` is the delay of each response in seconds (``faults.latency`` changes it). With your own ``clock``, which
    ``Date`` shows too, tokens expire without waiting. With ``tls`` the server speaks https. ``assertion_grants.py``
    documents grants by assertion.

    The port is bound when the object is created. The API is at ``base_url``, the token endpoint at ``token_url``. A
    server runs once: ``start``, ``stop``, or a ``with`` block.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        client_id: str = "test-client",
        client_secret: str = "test-secret",  # noqa: S107  # opens nothing but this server
        client_auth: tuple[str, ...] = ("client_secret_basic", "client_secret_post"),
        scopes: tuple[str, ...] = SCOPES,
        token_lifetime: float | None = 3600.0,
        rotate: bool = True,
        grace: float = 0.0,
        latency: float = 0.0,
        clock: Clock = SYSTEM_CLOCK,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.client_id = client_id
        self.client_secret = client_secret
        self.faults = FaultScript(latency)
        self.credentials = StaticCredentials()
        self._auth_methods = client_auth
        self._scope = scopes[0] if scopes else ""
        self._log = RequestLog()
        self._stopping = threading.Event()
        self.state = ServerState(clock, self._log.count)
        client = Client(client_id, client_secret, frozenset(client_auth), scopes)
        self.state.clients[client_id] = client
        policy = TokenPolicy(token_lifetime, rotate=rotate, grace=grace)
        self._tokens = TokenServer(self.state, policy, scopes)
        self._listener = Listener(port, tls, clock)
        scheme = "https" if tls else "http"
        self.base_url = f"{scheme}://127.0.0.1:{self._listener.port}"
        self.token_url = self.base_url + TOKEN_PATH
        register(self._tokens, (self.token_url, self.base_url))
        introspection.register(self._tokens)
        self.desk = ConsentDesk(self._tokens, self.base_url, clock)
        self.dpop = DpopGate(clock, TOKEN_PATH, self.base_url.partition(":")[0])
        self._clock = clock

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to answer."""
        foreign = f"http://localhost:{self._listener.port}"
        application = Application(
            origin=self.base_url,
            tokens=self._tokens,
            desk=self.desk,
            api=AirportApi(self.state, self.credentials, self.base_url, foreign),
            credentials=self.credentials,
            dpop=self.dpop,
            log=self._log,
            faults=self.faults,
            clock=self._clock,
            stopping=self._stopping,
            control=partial(control, self),
        )
        self._listener.start(application.serve)

    def stop(self) -> None:
        """End hanging requests, cut all connections and free the port. Stopping twice does no harm."""
        if not self._stopping.is_set():
            self._stopping.set()
            self._listener.stop()

    @property
    def policy(self) -> TokenPolicy:
        """How tokens are issued from now on; assign a changed copy (``dataclasses.replace``)."""
        return self._tokens.policy

    @policy.setter
    def policy(self, policy: TokenPolicy) -> None:
        self._tokens.policy = policy

    @property
    def vault(self) -> ServerState:
        """``state`` under its name of release 0.1."""
        return self.state

    @property
    def requests(self) -> list[LoggedRequest]:
        """All requests since the start or the last ``clear_log``, in order of arrival."""
        return self._log.entries

    @property
    def counters(self) -> Counters:
        """The counters since the start."""
        return self._log.counters

    def clear_log(self) -> None:
        """Forget the requests so far; counters stay."""
        self._log.clear()

    def connection(self, **overrides: Any) -> dict[str, Any]:
        """An Airflow connection of type ``oauth2`` to this server, in the shape that ``AIRFLOW_CONN_X`` takes as JSON.

        Overrides named like a connection field (``host``, ``login``, ...) replace it, all others go to ``extra``;
        None removes: ``server.connection(refresh_token=server.issue_refresh_token(), scope=None)``.
        """
        extra: dict[str, Any] = {"token_url": self.token_url, "scope": self._scope or None}
        fields: dict[str, Any] = {
            "conn_type": "oauth2",
            "host": self.base_url,
            "login": self.client_id,
            "password": self.client_secret,
        }
        if "client_secret_basic" not in self._auth_methods:
            extra["client_auth"] = self._auth_methods[0]
        if self._auth_methods == ("none",):
            del fields["password"]
        for name, value in overrides.items():
            place = fields if name in _FIELDS else extra
            place[name] = value
        kept = {name: value for name, value in extra.items() if value is not None}
        return {name: value for name, value in fields.items() if value is not None} | {
            "extra": kept
        }

    def connection_json(self, **overrides: Any) -> str:
        """The same as text for an ``AIRFLOW_CONN_...`` variable."""
        return json.dumps(self.connection(**overrides))

    def connection_to_authorize(self) -> dict[str, Any]:
        """A connection that a person authorizes with ``airflow oauth login``, in a browser or by device code."""
        places = {
            "authorize_url": AUTHORIZE_PATH,
            "device_url": DEVICE_PATH,
            "revoke_url": REVOKE_PATH,
        }
        urls = {name: self.base_url + path for name, path in places.items()}
        return self.connection(grant_type="authorization_code", **urls)

    def issue_refresh_token(
        self, client_id: str | None = None, scope: str | None = None, subject: str = "user"
    ) -> str:
        """The first refresh token of a new family, as if ``subject`` had consented just now."""
        return self.state.start_family(
            client_id or self.client_id, subject, self._scope if scope is None else scope
        )

    def issue_access_token(self, scope: str | None = None, lifetime: float | None = None) -> str:
        """An access token without a request; it lives ``lifetime`` seconds or for ever."""
        token = self.state.issue_access_token(
            client_id=self.client_id,
            subject="user",
            scope=self._scope if scope is None else scope,
            lifetime=lifetime,
        )
        return token.value

    def revoke_access_tokens(self) -> int:
        """End all access tokens, so that the next API call is answered 401; returns how many there were."""
        return self.state.revoke_access_tokens()

    def fault(self, path: str, **what: Any) -> None:
        """Make the next requests of ``path`` fail; ``what`` are the fields of :class:`Fault`.

        >>> server.fault(
        ...     "/oauth/token", status=503, headers={"Retry-After": "1"}, times=2
        ... )  # doctest: +SKIP
        """
        self.faults.add(Fault(path, **what))

    def drop_response_after_commit(self, path: str = TOKEN_PATH, times: int = 1) -> None:
        """Carry out the next requests of ``path`` but drop the connection instead of answering."""
        self.fault(path, drop=True, after_commit=True, times=times)
