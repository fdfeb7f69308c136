"""The server as tests use it: authorization server and API on one loopback port, in threads of this process."""

from __future__ import annotations

import json
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Any

from oauth_taskflow.clock import SYSTEM_CLOCK, Clock
from oauth_taskflow.testing.api import AirportApi, StaticCredentials
from oauth_taskflow.testing.authorization import TokenPolicy, TokenServer
from oauth_taskflow.testing.control import control
from oauth_taskflow.testing.faults import Fault, FaultScript
from oauth_taskflow.testing.login import log_in
from oauth_taskflow.testing.messages import Request, Response, json_response
from oauth_taskflow.testing.request_log import Counters, LoggedRequest, RequestLog
from oauth_taskflow.testing.transport import Listener
from oauth_taskflow.testing.vault import Client, Vault

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on

TOKEN_PATH = "/oauth/token"
SCOPES = ("airports.read", "airports.write", "offline_access")
_FIELDS = ("conn_type", "description", "host", "login", "password", "port", "schema")


class OAuthTestServer:
    """An authorization server with an API behind it.

    ``token_lifetime`` (seconds, fractions allowed; None: unlimited), ``rotate`` and ``grace`` (seconds) are what
    :class:`~oauth_taskflow.testing.authorization.TokenPolicy` says; the attribute ``policy`` changes these and the rest
    at any time. ``client_auth`` lists the client authentication methods of the one registered client (``none`` alone
    makes it public); ``vault.clients`` takes more. The first of ``scopes`` is granted where nothing else is said. ``latency`` is seconds before each answer. A ``clock`` of your own lets tokens
    expire without waiting. The port is taken when the object is made; ``start`` begins to answer.
    """

    token_path = TOKEN_PATH
    revoke_path = "/oauth/revoke"
    login_path = "/auth/token"
    metadata_path = "/.well-known/oauth-authorization-server"

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
    ) -> None:
        self.client_id = client_id
        self.client_secret = client_secret
        self.latency = latency
        self._scope = scopes[0] if scopes else ""
        self.faults = FaultScript()
        self.credentials = StaticCredentials()
        self._clock = clock
        self._log = RequestLog()
        self._stopping = threading.Event()
        self.vault = Vault(clock, self._log.count)
        self.vault.clients[client_id] = Client(
            client_id, client_secret, frozenset(client_auth), scopes
        )
        policy = TokenPolicy(token_lifetime, rotate=rotate, grace=grace)
        self._tokens = TokenServer(self.vault, policy, scopes)
        self._listener = Listener(self._serve, port)
        foreign = f"http://localhost:{self._listener.port}"
        self._api = AirportApi(self.vault, self.credentials, self.base_url, foreign)

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
        self._listener.start()

    def stop(self) -> None:
        """End hanging requests, cut all connections and free the port. Stopping twice does no harm."""
        if not self._stopping.is_set():
            self._stopping.set()
            self._listener.stop()

    @property
    def base_url(self) -> str:
        """Where the API is: ``http://127.0.0.1:{port}``."""
        return f"http://127.0.0.1:{self._listener.port}"

    @property
    def token_url(self) -> str:
        """The token endpoint."""
        return self.base_url + TOKEN_PATH

    @property
    def policy(self) -> TokenPolicy:
        """How tokens are issued from now on; assign a changed copy (``dataclasses.replace``)."""
        return self._tokens.policy

    @policy.setter
    def policy(self, policy: TokenPolicy) -> None:
        self._tokens.policy = policy

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

    def issue_refresh_token(
        self, client_id: str | None = None, scope: str | None = None, subject: str = "user"
    ) -> str:
        """The first refresh token of a new family, as if ``subject`` had consented just now."""
        return self.vault.start_family(
            client_id or self.client_id, subject, self._scope if scope is None else scope
        )

    def issue_access_token(self, scope: str | None = None, lifetime: float | None = None) -> str:
        """An access token without a request; it lives ``lifetime`` seconds or for ever."""
        token = self.vault.issue_access_token(
            client_id=self.client_id,
            subject="user",
            scope=self._scope if scope is None else scope,
            lifetime=lifetime,
        )
        return token.value

    def revoke_access_tokens(self) -> int:
        """End all access tokens, so that the next API call is answered 401; returns how many there were."""
        return self.vault.revoke_access_tokens()

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

    def _serve(self, request: Request) -> Response | None:
        if request.path.startswith("/_"):
            return control(self, request)
        number = self._log.arrived(request, self._clock.now())
        self._stopping.wait(self.latency)
        answer = self._answer_or_fault(request)
        if answer is not None:
            self._log.answered(number, answer.status)
        return answer

    def _answer_or_fault(self, request: Request) -> Response | None:
        fault = self.faults.take(request.path)
        if fault is None:
            return self._answer(request)
        answer = self._answer(request) if fault.after_commit else None
        self._stopping.wait(fault.hang)
        if fault.drop or self._stopping.is_set():
            return None
        return fault.response or answer or self._answer(request)

    def _answer(self, request: Request) -> Response:
        match request.path:
            case OAuthTestServer.token_path:
                self._log.count("token_requests")
                return self._tokens.token(request)
            case OAuthTestServer.revoke_path:
                return self._tokens.revoke(request)
            case OAuthTestServer.login_path:
                self._log.count("logins")
                return log_in(request, self.credentials, self.vault, self.policy.lifetime)
            case OAuthTestServer.metadata_path:
                return json_response(self._metadata())
        return self._api.respond(request)

    def _metadata(self) -> dict[str, object]:
        """RFC 8414 §2."""
        return {
            "issuer": self.base_url,
            "token_endpoint": self.token_url,
            "revocation_endpoint": self.base_url + self.revoke_path,
            "grant_types_supported": ["client_credentials", "refresh_token"],
            "token_endpoint_auth_methods_supported": sorted(
                self.vault.clients[self.client_id].auth_methods
            ),
            "scopes_supported": list(self.vault.clients[self.client_id].scopes),
            "response_types_supported": [],
        }
