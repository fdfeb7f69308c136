"""The installation endpoint by itself: what GitHub would refuse, it refuses."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import RSAKey

from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.server_state import Client
from tests.oauth.keys import pem_of, public_pem_of, rsa_key

PRIVATE = rsa_key()
KEY = RSAKey.import_key(pem_of(PRIVATE))


@pytest.fixture(scope="module")
def server() -> Iterator[OAuthTestServer]:
    with OAuthTestServer() as running:
        running.state.clients["7"] = Client("7", public_key=public_pem_of(PRIVATE).decode())
        yield running


def ask(server: OAuthTestServer, algorithm: str = "RS256", **claims: Any) -> requests.Response:
    now = int(time.time())
    whole = {"iss": "7", "iat": now - 60, "exp": now + 500, **claims}
    kept = {name: value for name, value in whole.items() if value is not None}
    assertion = jwt.encode({"alg": algorithm}, kept, KEY, algorithms=[algorithm])
    return requests.post(
        f"{server.base_url}/app/installations/1/access_tokens",
        headers={"Authorization": f"Bearer {assertion}"},
        json={"repositories": ["docs"]},
        timeout=10,
    )


def test_a_right_question_gets_a_token_that_the_api_takes(server: OAuthTestServer) -> None:
    answer = ask(server).json()
    assert answer["repositories"] == ["docs"]
    headers = {"Authorization": f"Bearer {answer['token']}"}
    page = requests.get(f"{server.base_url}/page/airports", headers=headers, timeout=10)
    assert page.status_code == 200


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": int(time.time()) + 7200}, "too far in the future"),
        ({"exp": 1}, "representing the future"),
        ({"exp": None}, "representing the future"),
        ({"iat": int(time.time()) + 7200}, "representing the past"),
        ({"iss": "8"}, "could not be decoded"),
        ({"algorithm": "RS384"}, "could not be decoded"),
    ],
)
def test_a_wrong_jwt_is_refused(server: OAuthTestServer, claims: dict[str, Any], why: str) -> None:
    answer = ask(server, **claims)
    assert answer.status_code == 401
    assert why in answer.json()["message"]


def test_without_a_jwt_there_is_no_token(server: OAuthTestServer) -> None:
    url = f"{server.base_url}/app/installations/1/access_tokens"
    assert requests.post(url, timeout=10).status_code == 401
    assert requests.get(url, timeout=10).status_code != 201
