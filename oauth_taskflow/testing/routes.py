"""Which part of the server answers a request, and what goes wrong on the way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from oauth_taskflow.clock import Clock
from oauth_taskflow.testing.api import AirportApi, StaticCredentials
from oauth_taskflow.testing.authorization import TokenServer
from oauth_taskflow.testing.authorization_pages import ConsentDesk
from oauth_taskflow.testing.dpop import DpopGate
from oauth_taskflow.testing.faults import FaultScript
from oauth_taskflow.testing.github_app import installation_token
from oauth_taskflow.testing.introspection import INTROSPECT_PATH, introspect
from oauth_taskflow.testing.messages import Request, Response, json_response
from oauth_taskflow.testing.request_log import RequestLog
from oauth_taskflow.testing.session_login import log_in

TOKEN_PATH = "/oauth/token"
REVOKE_PATH = "/oauth/revoke"
LOGIN_PATH = "/auth/token"
METADATA_PATH = "/.well-known/oauth-authorization-server"


@dataclass(frozen=True)
class Application:
    """The authorization server's endpoints, the API behind them and the control endpoints as one function.

    ``stopping`` ends every wait. ``control`` answers what lies below ``/_``, unlogged and without faults.
    """

    origin: str
    tokens: TokenServer
    desk: ConsentDesk
    api: AirportApi
    credentials: StaticCredentials
    dpop: DpopGate
    log: RequestLog
    faults: FaultScript
    clock: Clock
    stopping: threading.Event
    control: Callable[[Request], Response]

    def serve(self, request: Request) -> Response | None:
        """The answer to ``request``, or None when the connection is to be dropped."""
        if request.path.startswith("/_"):
            return self.control(request)
        number = self.log.log_arrival(request, self.clock.now())
        self.stopping.wait(self.faults.latency)
        answer = self._answer_or_fault(request)
        if answer is not None:
            self.log.log_status(number, answer.status)
        return answer

    def _answer_or_fault(self, request: Request) -> Response | None:
        fault = self.faults.take(request.path)
        if request.path == TOKEN_PATH:
            self.log.count("token_requests")
        if fault is None:
            return self._answer(request)
        answer = self._answer(request) if fault.after_commit else None
        self.stopping.wait(fault.hang)
        if fault.drop or self.stopping.is_set():
            return None
        return fault.response or answer or self._answer(request)

    def _answer(self, request: Request) -> Response:
        return self.dpop.answer(request, self._answer_plain)

    def _answer_plain(self, request: Request) -> Response:
        if request.path == TOKEN_PATH:
            return self.tokens.token(request)
        if request.path == REVOKE_PATH:
            return self.tokens.revoke(request)
        if request.path == INTROSPECT_PATH:
            return introspect(self.tokens, request)
        if request.path == LOGIN_PATH:
            self.log.count("logins")
            lifetime = self.tokens.policy.accepted_for
            return log_in(request, self.credentials, self.tokens.state, lifetime)
        if request.path == METADATA_PATH:
            return json_response(self._metadata())
        return (
            self.desk.respond(request)
            or installation_token(self.tokens, self.clock, request)
            or self.api.respond(request)
        )

    def _metadata(self) -> dict[str, object]:
        """RFC 8414 §2."""
        clients = self.tokens.state.clients.values()
        methods = sorted({method for client in clients for method in client.auth_methods})
        return {
            "issuer": self.origin,
            "token_endpoint": self.origin + TOKEN_PATH,
            "token_endpoint_auth_methods_supported": methods,
            "revocation_endpoint": self.origin + REVOKE_PATH,
            "revocation_endpoint_auth_methods_supported": methods,
            "introspection_endpoint": self.origin + INTROSPECT_PATH,
            "introspection_endpoint_auth_methods_supported": methods,
            "grant_types_supported": [
                "authorization_code",
                "client_credentials",
                "refresh_token",
                "urn:ietf:params:oauth:grant-type:device_code",
            ],
            "scopes_supported": list(self.tokens.scopes_supported),
            **self.desk.metadata(),
        }
