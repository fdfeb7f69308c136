"""The same grant is the same manager in this process, so that its threads share one refresh."""

from __future__ import annotations

import gc
import os
import weakref
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import ClientCredentials, GrantOptions, RefreshToken
from oauth_taskflow.tokens import registry
from oauth_taskflow.tokens.grant_key import GrantIdentity
from oauth_taskflow.tokens.options import ManagerOptions
from oauth_taskflow.tokens.registry import manager_for, open_store
from oauth_taskflow.tokens.sql.store import SqlTokenStore
from tests.tokens.conftest import KEY

URL = "https://id.example.com/token"


@pytest.fixture
def shared(tmp_path: Path) -> SqlTokenStore:
    return open_store(f"sqlite:///{tmp_path}/t.db", [KEY])


def endpoint(secret: str = "secret") -> TokenEndpoint:
    return TokenEndpoint(URL, Client("me", secret), conn_id="crm")


def test_the_same_store_is_opened_once(tmp_path: Path, shared: SqlTokenStore) -> None:
    assert open_store(f"sqlite:///{tmp_path}/t.db", [KEY]) is shared
    assert open_store(f"sqlite:///{tmp_path}/other.db", [KEY]) is not shared


def test_the_same_grant_has_one_manager(shared: SqlTokenStore) -> None:
    first = manager_for(shared, endpoint(), ClientCredentials())
    assert manager_for(shared, endpoint(), ClientCredentials()) is first


def test_changed_settings_make_a_new_manager_of_the_same_grant(shared: SqlTokenStore) -> None:
    first = manager_for(shared, endpoint(), RefreshToken("a"))
    others = [
        manager_for(shared, endpoint("changed"), RefreshToken("a")),
        manager_for(shared, endpoint(), RefreshToken("b")),
        manager_for(shared, endpoint(), RefreshToken("b"), options=ManagerOptions(leeway=5)),
    ]
    assert {other.grant_key for other in others} == {first.grant_key}
    assert len({id(manager) for manager in (first, *others)}) == 4


def test_an_unreferenced_manager_is_released(shared: SqlTokenStore) -> None:
    kept = manager_for(shared, endpoint(), ClientCredentials(), subject="somebody else")
    assert kept in registry._managers.values()
    released = weakref.ref(kept)
    del kept
    gc.collect()
    assert released() is None
    assert released not in registry._managers.valuerefs()


def test_a_forked_child_gets_a_new_lock() -> None:
    with registry._Guard.lock:
        child = os.fork()
        if child == 0:
            os._exit(3 if registry._Guard.lock.locked() else 0)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize(
    "options",
    [
        GrantOptions(scope="a"),
        GrantOptions(audience="a"),
        GrantOptions(resource=("https://a",)),
        GrantOptions(params={"a": "b"}),
    ],
)
def test_every_setting_that_changes_the_token_changes_the_grant_key(
    options: GrantOptions,
) -> None:
    plain = GrantIdentity.for_grant(endpoint(), ClientCredentials())
    assert GrantIdentity.for_grant(endpoint(), ClientCredentials(options)).key != plain.key
    assert GrantIdentity.for_grant(endpoint(), ClientCredentials(), "subject").key != plain.key
    assert GrantIdentity.for_grant(endpoint(), RefreshToken("rt")).key != plain.key


@pytest.mark.parametrize(
    "changed",
    [
        {"conn_id": "erp"},
        {"url": "https://other.example.com/token"},
        {"client": Client("you", "s")},
    ],
)
def test_connection_server_and_client_are_parts_of_the_grant_key(changed: dict[str, Any]) -> None:
    other = replace(endpoint(), **changed)
    plain = GrantIdentity.for_grant(endpoint(), ClientCredentials())
    assert GrantIdentity.for_grant(other, ClientCredentials()).key != plain.key


def test_the_order_of_scopes_and_the_secrets_do_not_matter_for_the_grant_key() -> None:
    one = GrantIdentity.for_grant(endpoint("x"), RefreshToken("1", GrantOptions(scope="a b")))
    other = GrantIdentity.for_grant(endpoint("y"), RefreshToken("2", GrantOptions(scope="b a")))
    assert one.key == other.key
