"""Consents by the page, step by step, as a browser takes them."""

from __future__ import annotations

import json
import re
import time
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import requests

from tests.taskflow.page.conftest import SAME_ORIGIN

if TYPE_CHECKING:
    from httpx import Response
    from starlette.testclient import TestClient

ORIGIN = "http://127.0.0.1:8080"
CALLBACK = f"{ORIGIN}/oauth/callback"


def post(client: TestClient, step: str = "", conn_id: str = "crm", **body: Any) -> Response:
    """The answer to a request of the page's own script."""
    address = f"/oauth/api/connections/{conn_id}/consent{step}"
    answer: Response = client.post(address, json=body, headers=SAME_ORIGIN)
    return answer


def begin(client: TestClient, **wish: Any) -> str:
    """The address to which the person is sent."""
    answer = post(client, way="browser", **wish)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["authorization_url"])


def agree(url: str) -> str:
    """The query that the authorization server sends back, as a person at ``url`` makes it."""
    answer = requests.get(url, allow_redirects=False, timeout=60)
    assert answer.status_code == 302, answer.text
    assert answer.headers["Location"].startswith(f"{CALLBACK}?")
    return urlsplit(answer.headers["Location"]).query


def agree_by_form(url: str) -> dict[str, str]:
    """The form that the page of a ``form_post`` server posts."""
    page = requests.get(url, timeout=60).text
    pairs = re.findall(r'name="([^"]*)" value="([^"]*)"', page)
    return {name: unescape(value) for name, value in pairs}


def come_back(client: TestClient, query: str | dict[str, str]) -> str:
    """The place that the callback redirects to."""
    text = query if isinstance(query, str) else urlencode(query)
    answer = client.get(f"/oauth/callback?{text}", follow_redirects=False)
    assert answer.status_code == 303
    return str(answer.headers["location"])


def read_ticket(place: str) -> str:
    """The ticket in the fragment of the page that finishes."""
    found = re.fullmatch(r"/oauth/consent#crm/([\w-]{43})", place)
    assert found is not None, place
    return found[1]


def finish(client: TestClient, place: str) -> Response:
    """The answer to what the page that finishes asks for."""
    return post(client, "/finish", ticket=read_ticket(place))


def leave_kept_consent(conn_id: str = "crm") -> None:
    """The tokens of a consent of ``ann`` come, and the server is killed before it stores them."""
    from oauth_taskflow.oauth.endpoint.messages import TokenHttpResponse  # noqa: PLC0415 - needs its home first
    from oauth_taskflow.taskflow.grants.managed_grant import load_managed_grant  # noqa: PLC0415 - as above

    arriving = load_managed_grant(conn_id).manager.stored.expect_consent(by="ann")
    body = {"access_token": "at-kept", "refresh_token": "rt-kept", "expires_in": 3600}
    now = time.time()
    headers = {"content-type": "application/json"}
    arriving.keep(TokenHttpResponse(200, headers, json.dumps(body).encode(), now, now))
