"""Times what authentication adds to a request in one client library. Started by ``token_fast_path.py``.

Argument: the library. Nothing travels: sessions have an adapter that answers at once, so that what is left is the
library's own work. Processor time of the whole process is taken, background threads included. Each environment holds
its own libraries, so imports stand in the functions.
"""

# ruff: noqa: PLC0415 - see above

from __future__ import annotations

import io
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import requests
from requests.adapters import BaseAdapter

URL = "https://api.example.com/v3/contacts"
FAR = 100_000.0  # seconds that the token is good for
BATCH, BATCHES = 500, 40


class Instant(BaseAdapter):
    """Answers 200 without a wire."""

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """An empty answer to ``request``."""
        response = requests.Response()
        response.status_code, response.request = 200, request
        response.raw, response.url = io.BytesIO(b"{}"), request.url or ""
        return response

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True)
class Measured:
    """``alone`` puts the token on a prepared request; ``session`` sends a request through the library's session."""

    packages: tuple[str, ...]
    alone: Callable[[requests.PreparedRequest], object]
    session: requests.Session


def _managed_auth() -> Any:
    """Our auth object over a token manager with a real SQLite store, its token from a real authorization server."""
    from cryptography.fernet import Fernet

    from oauth_taskflow import OAuth2Auth
    from oauth_taskflow.oauth.client import Client
    from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
    from oauth_taskflow.oauth.grants import ClientCredentials
    from oauth_taskflow.testing import OAuthTestServer
    from oauth_taskflow.tokens.manager import TokenManager
    from oauth_taskflow.tokens.sql.store import SqlTokenStore

    # The working folder is this process's own, removed after it.
    store = SqlTokenStore(f"sqlite:///{Path.cwd()}/tokens.db", [Fernet.generate_key()])
    with OAuthTestServer() as server:
        fields = server.connection()
        extra = json.loads(fields["extra"]) if isinstance(fields["extra"], str) else fields["extra"]
        client = Client(fields["login"], fields["password"])
        endpoint = TokenEndpoint(extra["token_url"], client)
        manager = TokenManager.for_grant(store, endpoint, ClientCredentials())
        manager.token()
    return OAuth2Auth(manager)


def ours() -> Measured:
    """Our session; alone, what it does to have a request signed."""
    from oauth_taskflow import OAuthSession

    auth = _managed_auth()
    session = OAuthSession("https://api.example.com", auth)
    return Measured(("oauth-taskflow",), auth.apply, session)


def plain_auth() -> Measured:
    """Our auth object on an ordinary session, where it has to guard origins and replay by itself."""
    session = requests.Session()
    session.auth = auth = _managed_auth()
    return Measured(("oauth-taskflow",), auth, session)


def google() -> Measured:
    """An authorized session of google-auth."""
    from datetime import datetime, timedelta

    from google.auth.transport.requests import AuthorizedSession
    from google.oauth2.credentials import Credentials

    expiry = datetime.utcnow() + timedelta(seconds=FAR)  # noqa: DTZ003 - what google-auth wants
    credentials = Credentials("benchmark", expiry=expiry)

    def alone(request: requests.PreparedRequest) -> None:
        credentials.before_request(None, request.method, request.url, request.headers)

    return Measured(("google-auth",), alone, AuthorizedSession(credentials))


def authlib() -> Measured:
    """Authlib's requests session."""
    from authlib.integrations.requests_client import OAuth2Session

    token = {"access_token": "benchmark", "token_type": "Bearer", "expires_at": time.time() + FAR}
    session = OAuth2Session("client", token=token)

    def alone(request: requests.PreparedRequest) -> None:
        session.ensure_active_token(session.token)
        session.token_auth(request)

    return Measured(("authlib",), alone, session)


def requests_oauthlib() -> Measured:
    """The session of requests-oauthlib."""
    from oauthlib.oauth2 import WebApplicationClient
    from requests_oauthlib import OAuth2Session

    token = {"access_token": "benchmark", "token_type": "Bearer", "expires_at": time.time() + FAR}
    client = WebApplicationClient("client", token=token)
    session = OAuth2Session(client=client, token=token)

    def alone(request: requests.PreparedRequest) -> None:
        client.add_token(request.url, "GET", None, request.headers)

    return Measured(("requests-oauthlib",), alone, session)


def requests_oauth2client() -> Measured:
    """The client credentials auth object of requests-oauth2client."""
    from requests_oauth2client import BearerToken, OAuth2AccessTokenAuth, OAuth2Client

    client = OAuth2Client("https://id.example.com/token", client_id="client", client_secret="x")
    auth = OAuth2AccessTokenAuth(client, BearerToken("benchmark", expires_in=int(FAR)))
    session = requests.Session()
    session.auth = auth
    return Measured(("requests-oauth2client",), auth, session)


KINDS: dict[str, Callable[[], Measured]] = {
    "ours": ours,
    "plain-auth": plain_auth,
    "google-auth": google,
    "authlib": authlib,
    "requests-oauthlib": requests_oauthlib,
    "requests-oauth2client": requests_oauth2client,
}


def microseconds(action: Callable[[], object]) -> float:
    """Processor time of one call, over a batch."""
    began = time.process_time()
    for _ in range(BATCH):
        action()
    return (time.process_time() - began) / BATCH * 1e6


def main() -> None:
    measured = KINDS[sys.argv[1]]()
    bare = requests.Session()
    for session in (bare, measured.session):
        session.mount("https://", Instant())
        session.trust_env = False
    request = requests.Request("GET", URL).prepare()

    def alone() -> None:
        request.hooks["response"] = []  # auth objects add theirs each time
        measured.alone(request)

    def nothing() -> None:
        request.hooks["response"] = []

    actions: dict[str, Callable[[], object]] = {
        "nothing": nothing,
        "alone": alone,
        "bare": lambda: bare.get(URL),
        "session": lambda: measured.session.get(URL),
    }
    taken: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(BATCHES + 2):
        for name, action in actions.items():
            value = microseconds(action)
            if number >= 2:
                taken[name].append(value)
    median = {name: statistics.median(values) for name, values in taken.items()}
    figures = {
        "alone": median["alone"] - median["nothing"],
        "bare": median["bare"],
        "session": median["session"],
        "added": median["session"] - median["bare"],
        "versions": {name: version(name) for name in (*measured.packages, "requests")},
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
