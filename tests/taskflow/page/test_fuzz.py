"""The whole OpenAPI of the page under generated requests, by every kind of user: no 5xx, no secret, nothing undeclared done."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from schemathesis.core.result import Ok

from oauth_taskflow.testing import OAuthTestServer
from tests.browser import grants
from tests.support.examples import examples
from tests.taskflow.conftest import Connect
from tests.taskflow.page.conftest import SAME_ORIGIN, Browse

if TYPE_CHECKING:
    from starlette.testclient import TestClient

# For each operation and each user: an eighth of the examples of a plain property.
_SETTINGS = examples(1 / 8, suppress_health_check=[HealthCheck.function_scoped_fixture])


def operations(root_app: Any) -> list[Any]:
    """Every operation of the app, as schemathesis reads them from its OpenAPI."""
    (mounted,) = [route for route in root_app.routes if getattr(route, "path", "") == "/oauth"]
    document = mounted.app.openapi()
    schema = schemathesis.openapi.from_dict(document)
    found = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    assert len(found) == sum(map(len, document["paths"].values())), "none is left out"
    return found


@pytest.fixture
def secrets(connect: Connect, oauth_server: OAuthTestServer, browse: Browse) -> set[str]:
    """A connection ``crm`` with a stored grant, and every secret of it."""
    from oauth_taskflow.taskflow.config import fernet_keys, store_url  # noqa: PLC0415 - needs its home first
    from oauth_taskflow.tokens.registry import open_store  # noqa: PLC0415 - as above

    seed = oauth_server.issue_refresh_token()
    connect(refresh_token=seed)
    grants.put(open_store(store_url(), fernet_keys()), "crm")
    return {grants.SECRET, seed, oauth_server.client_secret}


def send(client: TestClient, case: Any, headers: dict[str, str]) -> Any:
    """The answer to a generated request."""
    given = case.as_transport_kwargs(base_url="http://airflow.test/oauth")
    own = {**(given.get("headers") or {}), **headers}
    own = {name: value for name, value in own.items() if name.lower() != "authorization"}
    body = {name: given[name] for name in ("json", "data", "params") if name in given}
    if "data" in body:
        body["content"] = body.pop("data")
    sent = {name: str(value).encode("utf-8", "replace") for name, value in own.items()}
    return client.request(
        given["method"], given["url"], headers=sent, follow_redirects=False, **body
    )


@pytest.mark.no_cover
@pytest.mark.slow
@pytest.mark.parametrize("name", ["admin", "viewer", ""])
def test_no_generated_request_breaks_the_page_or_brings_a_secret_to_light(
    root_app: Any, browse: Browse, secrets: set[str], oauth_server: OAuthTestServer, name: str
) -> None:
    client = browse(name)
    for operation in operations(root_app):

        @_SETTINGS
        @given(case=operation.as_strategy())
        def check(case: Any) -> None:
            answer = send(client, case, SAME_ORIGIN if case.method != "GET" else {})
            assert answer.status_code < 500, (case.method, case.path, answer.text)
            known = secrets | set(oauth_server.state.list_issued())
            assert [one for one in known if one in answer.text + str(answer.headers)] == []
            if name != "admin" and case.path.startswith("/api/connections"):
                assert answer.status_code >= 300, (case.method, case.path)

        check()


_WRONG = st.one_of(
    st.text(),
    st.binary(),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    ).map(json.dumps),
)
_IDS = st.one_of(
    st.sampled_from(
        [
            "crm",
            "..",
            "%2e%2e",
            "crm/refresh",
            "a//b",
            "crm\x00",
            "ä",
            "x" * 3000,
            "'; drop table log; --",
        ]
    ),
    st.text(min_size=1),
)


@pytest.mark.slow
def test_no_id_or_body_breaks_an_action(
    browse: Browse, secrets: set[str], oauth_server: OAuthTestServer
) -> None:
    from urllib.parse import quote  # noqa: PLC0415 - for this test alone

    client = browse("admin")

    @examples(3, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        conn_id=_IDS, action=st.sampled_from(["refresh", "test", "revoke", "forget"]), body=_WRONG
    )
    def check(conn_id: str, action: str, body: str | bytes) -> None:
        path = (
            f"/oauth/api/connections/{quote(conn_id.encode('utf-8', 'replace'), safe='')}/{action}"
        )
        content = body.encode("utf-8", "replace") if isinstance(body, str) else body
        answer = client.post(path, content=content, headers=SAME_ORIGIN)
        assert answer.status_code < 500, (path, answer.text)
        known = secrets | set(oauth_server.state.list_issued())
        assert [one for one in known if one in answer.text] == []

    check()
