"""Editing: no secret comes back, and none stays where its destination changes."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from oauth_taskflow.connections.drafts.draft import Draft, DraftedConnection, WrongDraft
from oauth_taskflow.connections.drafts.preset_form import find_preset
from oauth_taskflow.connections.drafts.stored import (
    ADDRESS_KEYS,
    describe_stored,
    find_changed_addresses,
    rewrite_connection,
)
from oauth_taskflow.connections.fields.table import FIELDS
from oauth_taskflow.connections.parse import parse_connection
from oauth_taskflow.errors import ConnectionConfigError
from tests.connections.samples import Connection, connection
from tests.connections.test_every_key_acts import KEYS

SECRET = "s3cret-of-client"


def stored(extra: dict[str, Any] | None = None, **fields: Any) -> Connection:
    return connection(
        json.dumps({"provider": "zendesk", "subdomain": "acme", **(extra or {})}),
        **{"host": "", **fields},
    )


def edit(
    before: Connection, unchanged: set[str], values: dict[str, Any] | None = None, **fields: Any
) -> DraftedConnection:
    form = describe_stored(before)
    typed = {**form.values, **(values or {})}
    named = {"provider": form.provider, "way": form.way, **fields}
    return rewrite_connection(before, Draft(conn_id="crm", values=typed, **named), unchanged)


def refused(
    before: Connection, unchanged: set[str], values: dict[str, Any], **fields: Any
) -> set[str]:
    with pytest.raises(WrongDraft) as caught:
        edit(before, unchanged, values, **fields)
    assert SECRET not in repr(caught.value.problems)
    return {problem.field for problem in caught.value.problems}


def test_no_secret_is_shown() -> None:
    secrets = {
        "refresh_token": SECRET,
        "api_headers": {"X-Key": SECRET},
        "api_params": {"k": SECRET},
        "token_params": {"k": SECRET},
        "proxies": {"https": f"http://u:{SECRET}@proxy.example:1"},
        "api_key_misspelled": SECRET,
    }
    form = describe_stored(stored({**secrets, "scope": "read"}))
    assert form.values == {"subdomain": "acme", "scope": "read", "login": "client"}
    assert {*form.hidden} == {"password", *secrets}
    assert SECRET not in msgspec.json.encode(form).decode()
    assert "api_key_misspelled: Unknown field" in form.problem


@pytest.mark.parametrize(
    "field", [field for field in FIELDS if field.name != "provider"], ids=lambda field: field.name
)
def test_each_key_that_may_hold_a_secret_is_hidden(field: Any) -> None:
    shown = describe_stored(connection(json.dumps({field.name: {"a": SECRET}})))
    assert (field.name in shown.hidden) == (
        field.is_secret
        or field.holds_secrets
        or field.kind in {"mapping", "params", "nested", "members"}
    )


def test_secrets_stay_when_nothing_about_their_destination_changes() -> None:
    before = stored({"refresh_token": "rt-seed", "scope": "read", "api_headers": {"A": "b"}})
    after = edit(before, {"password", "refresh_token", "api_headers"}, {"scope": "read write"})
    assert after.password == SECRET
    extra = json.loads(after.extra)
    assert (extra["refresh_token"], extra["scope"]) == ("rt-seed", "read write")
    assert extra["api_headers"] == {"A": "b"}


def test_what_is_neither_kept_nor_typed_is_removed() -> None:
    before = stored({"scope": "read", "api_headers": {"A": "b"}})
    extra = json.loads(edit(before, {"password"}, {"scope": ""}).extra)
    assert extra == {"provider": "zendesk", "subdomain": "acme"}


@pytest.mark.parametrize(
    "values",
    [
        {"host": "https://evil.example"},
        {"subdomain": "evil"},
        {"token_url": "https://evil.example/token"},
        {"issuer": "https://evil.example"},
        {"authorize_url": "https://evil.example/a"},
        {"revoke_url": "https://evil.example/r"},
        {"introspect_url": "https://evil.example/i"},
        {"allowed_origins": "https://evil.example"},
        {"proxies": {"https": "http://evil.example:1"}},
        {"verify": False},
        {"host": "https://{where}.example", "host_values": {"where": "evil"}},
        {"host": "https://evil.example/{password}"},
    ],
    ids=str,
)
def test_a_secret_is_asked_for_again_when_it_would_go_elsewhere(values: dict[str, Any]) -> None:
    before = stored({"refresh_token": "rt-seed"})
    assert refused(before, {"password", "refresh_token"}, values) == {"password", "refresh_token"}
    assert refused(before, {"refresh_token"}, {**values, "password": "another-secret"}) == {
        "refresh_token"
    }
    typed = {**values, "password": "another-secret", "refresh_token": "another-token"}
    assert edit(before, set(), typed).password == "another-secret"


def test_another_provider_or_kind_asks_for_the_secret_again() -> None:
    before = stored()
    assert refused(before, {"password"}, {"subdomain": ""}, provider="github", way="consent") == {
        "password"
    }
    whole = connection(json.dumps({"auth_type": "basic"}))
    with pytest.raises(WrongDraft, match="auth_type changed"):
        edit(whole, {"password"}, provider="", way="bearer")


def test_keys_of_a_preset_that_only_fill_headers_leave_the_secret_alone() -> None:
    before = connection(
        json.dumps({"provider": "google-ads", "developer_token": "Ab1-Cd_2eFGhijKLmnopQR"}), host=""
    )
    after = edit(before, {"password", "developer_token"}, {"login_customer_id": "1234567890"})
    assert after.password == SECRET


def test_spelling_of_the_same_address_is_no_change() -> None:
    before = connection(
        json.dumps(
            {
                "provider": "Salesforce",
                "domain": "login",
                "allowed_origins": ["https://a.example"],
                "timeout": None,
            }
        ),
        host=" https://x.example ",
    )
    after = edit(before, {"password"}, {"allowed_origins": '["https://a.example"]'})
    assert after.password == SECRET
    assert json.loads(after.extra)["provider"] == "salesforce"


def test_every_key_that_names_an_address_asks_again() -> None:
    # A key that leads a request elsewhere changes one of these settings; a key that only names something does not.
    elsewhere = set()
    for name, (_, value) in KEYS.items():
        before = connection(json.dumps({"token_url": "https://id.example.com/token"}))
        after = connection(json.dumps({"token_url": "https://id.example.com/token", name: value}))
        if find_changed_addresses(before, after, find_preset("")):
            elsewhere.add(name)
    assert elsewhere == ADDRESS_KEYS & KEYS.keys()
    urls = {name for name, (_, value) in KEYS.items() if "://" in json.dumps(value)}
    # These name a party, or the API a token is for; the token goes where it went.
    assert urls - elsewhere == {"audience", "resource", "assertion_audience"} & KEYS.keys()


def test_nothing_can_be_kept_that_is_not_there() -> None:
    assert refused(stored(password=""), {"password"}, {}) == {"password"}
    assert refused(stored(), {"password", "private_key"}, {}) == {"private_key"}


def test_what_the_form_does_not_show_stays() -> None:
    before = connection(
        json.dumps({"auth_type": "basic"}),
        conn_type="http",
        host="api.example.com",
        schema="https",
        port=8443,
    )
    after = edit(before, {"password"}, {"login": "someone"})
    assert (after.conn_type, after.schema, after.port) == ("http", "https", 8443)
    assert parse_connection(after).base_url == parse_connection(before).base_url


def test_another_grant_of_the_providers_stays() -> None:
    before = stored({"grant_type": "account_credentials", "token_params": {"a": "b"}})
    form = describe_stored(before)
    assert form.values["grant_type"] == "account_credentials"
    after = edit(before, {"password", "token_params"})
    assert json.loads(after.extra)["grant_type"] == "account_credentials"


@pytest.mark.parametrize(
    ("extra", "way"),
    [
        ({}, "application"),
        ({"grant_type": "authorization_code"}, "consent"),
        ({"grant_type": "refresh_token"}, "consent"),
        ({"grant_type": "urn:ietf:params:oauth:grant-type:device_code"}, "consent"),
        ({"refresh_token": "rt"}, "consent"),
    ],
)
def test_the_way_of_a_stored_connection_is_found(extra: dict[str, Any], way: str) -> None:
    assert describe_stored(stored(extra)).way == way


@pytest.mark.parametrize(
    "other",
    [
        Connection("crm", "postgres", extra="{}"),
        Connection("crm", None),
        Connection("crm", "http", extra='{"X-Header": "a"}'),
        Connection("crm", "http", extra="[]"),
        Connection("crm", "oauth2", extra="[" * 100_000),
        Connection("crm", "oauth2", extra="[1]"),
        Connection("crm", "oauth2", extra='{"provider": "nobody"}'),
    ],
)
def test_connections_that_are_not_ours_are_refused(other: Connection) -> None:
    with pytest.raises(ConnectionConfigError):
        describe_stored(other)
