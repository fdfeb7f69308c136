"""The steps of a consent, taken by two processes: what the second one resumes is what the first one began."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_taskflow.connections.drafts.stored import ADDRESS_KEYS
from oauth_taskflow.errors import AuthorizationFailed
from oauth_taskflow.oauth.login.authorization import Authorization
from oauth_taskflow.taskflow.grants.consent_flow import (
    bind_attempt,
    refuse_without_consent,
    resume_attempt,
    start_attempt,
)
from oauth_taskflow.taskflow.grants.managed_grant import load_managed_grant
from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.conftest import Connect

pytestmark = pytest.mark.usefixtures("own_store")
CALLBACK = "http://127.0.0.1:8080/oauth/callback"
EDITED: list[dict[str, Any]] = [
    {"token_url": "https://evil.example/token"},
    {"authorize_url": "https://evil.example/authorize"},
    {"issuer": "https://evil.example"},
    {"scope": "everything"},
    {"host": "https://evil.example"},
    {"allowed_origins": ["https://evil.example"]},
    {"par_url": "https://evil.example/par"},
    {"device_url": "https://evil.example/device"},
    {"introspect_url": "https://evil.example/introspect"},
    {"redirect_uri": "https://evil.example/callback"},
    {"proxies": {"https": "http://evil.example:3128"}},
    {"verify": False},
    {"provider": "xero"},
]


def resume(begun: Authorization, age: float) -> Authorization:
    return resume_attempt(
        load_managed_grant("crm"),
        begun.redirect_uri,
        state=begun.state,
        verifier=begun.verifier.value,
        age=age,
    )


def test_a_resumed_attempt_sends_the_same_request_and_reads_the_answer(connect: Connect) -> None:
    connect()
    begun = start_attempt(load_managed_grant("crm"), CALLBACK)
    resumed = resume(begun, 590.0)
    assert resumed.url == begun.url
    code = resumed.read([("code", "abc"), ("state", begun.state)])
    assert (code.code, code.redirect_uri, code.verifier) == ("abc", CALLBACK, begun.verifier)


def test_a_resumed_attempt_is_over_after_ten_minutes(connect: Connect) -> None:
    connect()
    begun = start_attempt(load_managed_grant("crm"), CALLBACK)
    with pytest.raises(AuthorizationFailed, match="later than 10 minutes"):
        resume(begun, 601.0).read([("code", "abc"), ("state", begun.state)])


@pytest.mark.parametrize("edited", EDITED, ids=str)
def test_an_edit_of_the_connection_changes_what_an_attempt_is_bound_to(
    connect: Connect, oauth_server: OAuthTestServer, edited: dict[str, Any]
) -> None:
    connect()
    before = bind_attempt(load_managed_grant("crm"))
    assert bind_attempt(load_managed_grant("crm")) == before
    connect(**edited)
    assert bind_attempt(load_managed_grant("crm")) != before


def test_every_address_key_was_considered() -> None:
    """A new one belongs into ``bind_attempt`` and into the test above, if it counts for a consent."""
    through_others = {"auth_type", "host_values", "login_url"}  # no consent, and a part of the host
    apart = {"revoke_url"}  # kept next to the hash
    bound = {name for edited in EDITED for name in edited}
    assert bound | through_others | apart >= ADDRESS_KEYS


def test_a_connection_that_needs_no_person_is_refused(connect: Connect) -> None:
    connect(grant_type="client_credentials")
    with pytest.raises(Exception, match="needs no consent of a person"):
        refuse_without_consent(load_managed_grant("crm"))
