"""Calls of a client to the test server, in one line each, and a clock that tests move."""

from __future__ import annotations

from dataclasses import dataclass

import requests

from oauth_taskflow.testing import OAuthTestServer

TIMEOUT = 20


@dataclass
class FakeClock:
    """Time stands still until ``at`` is changed."""

    at: float = 1_000_000.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


def ask_token(server: OAuthTestServer, **fields: str) -> requests.Response:
    """A token request with ``client_secret_basic``."""
    auth = (server.client_id, server.client_secret)
    return requests.post(server.token_url, data=fields, auth=auth, timeout=TIMEOUT)


def client_credentials(server: OAuthTestServer, **fields: str) -> requests.Response:
    return ask_token(server, grant_type="client_credentials", **fields)


def refresh(server: OAuthTestServer, refresh_token: str, **fields: str) -> requests.Response:
    return ask_token(server, grant_type="refresh_token", refresh_token=refresh_token, **fields)


def get(server: OAuthTestServer, path: str, access_token: str) -> requests.Response:
    """A call to the API."""
    headers = {"Authorization": f"Bearer {access_token}"}
    return requests.get(server.base_url + path, headers=headers, timeout=TIMEOUT)
