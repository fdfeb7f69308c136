"""All grants of a store at once: without secrets, decrypted once, and one damaged row hides no other."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from sqlalchemy import update

from oauth_taskflow.errors import InvalidGrant
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.tokens.cipher import TokenCipher
from oauth_taskflow.tokens.sql.store import SqlTokenStore
from oauth_taskflow.tokens.sql.table import GRANTS
from oauth_taskflow.tokens.state.record import GrantRecord, GrantState, LastFailure
from tests.tokens.clocked_store import ClockedStore

SECRET = "s3cret-of-the-store"


def put(store: SqlTokenStore, conn_id: str, key: str) -> GrantRecord:
    leased = store.acquire(key, owner="test", ttl=1.0)
    assert leased is not None
    token = Token(SECRET, 1.0, 2.0, extras={"id_token": SECRET}, dpop_key=SECRET)
    return store.change(
        leased,
        lambda record: replace(
            record,
            conn_id=conn_id,
            state=GrantState.ACTIVE,
            token=token,
            refresh_token=SECRET,
            alternates=(SECRET,),
            dpop_key=SECRET,
            predecessor=SECRET,
            consented_by="alice",
            last_failure=LastFailure.from_error(
                InvalidGrant(error="invalid_grant", status=400, where="at x"), "", None, 1
            ),
        ),
    )


@pytest.fixture
def shared(real_store: SqlTokenStore) -> SqlTokenStore:
    """A store of every kind, emptied: other tests use the same database server."""
    for _, key in real_store.list_grants():
        real_store.forget(key)
    return real_store


def test_every_grant_is_listed_with_what_it_is_and_without_its_secrets(
    shared: SqlTokenStore,
) -> None:
    put(shared, "erp", "b" * 64)
    put(shared, "crm", "a" * 64)
    first, second = shared.list_records()
    assert (first.conn_id, second.conn_id) == ("crm", "erp")
    record = first.record
    assert record is not None
    assert record.token is not None
    assert (record.token.expires_at, record.refresh_token, record.consented_by) == (
        2.0,
        "",
        "alice",
    )
    assert record.last_failure is not None
    everything = [getattr(record, name) for name in record.__struct_fields__]
    token = [getattr(record.token, name) for name in record.token.__struct_fields__]
    assert SECRET not in str([*everything, *token])


def test_only_what_changed_is_decrypted_again(
    shared: SqlTokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(shared, "crm", "a" * 64)
    put(shared, "erp", "b" * 64)
    opened: list[str] = []
    decrypt = TokenCipher.open

    def count(self: TokenCipher, sealed: str, *, grant_key: str, version: int) -> object:
        opened.append(grant_key)
        return decrypt(self, sealed, grant_key=grant_key, version=version)

    monkeypatch.setattr(TokenCipher, "open", count)
    before = [one.record.read_at.store for one in shared.list_records() if one.record]
    assert len(opened) == 2
    after = [one.record.read_at.store for one in shared.list_records() if one.record]
    assert len(opened) == 2
    assert after >= before
    put(shared, "erp", "b" * 64)
    opened.clear()
    shared.list_records()
    assert opened == ["b" * 64]
    shared.forget("a" * 64)
    assert [one.conn_id for one in shared.list_records()] == ["erp"]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ({"payload": "not encrypted"}, "no key of the ring opens it"),
        ({"journal": "{}"}, "The stored grant cannot be read (KeyError)"),
        ({"payload": b"not text"}, "The stored grant cannot be read (AttributeError)"),
        ({"trouble": '{"unknown": 1}'}, "The stored grant cannot be read (TypeError)"),
        ({"state": "from a later release"}, "The stored grant cannot be read (ValueError)"),
    ],
)
def test_a_damaged_row_is_named_and_hides_no_other(
    store: ClockedStore, damage: dict[str, str], said: str
) -> None:
    put(store, "crm", "a" * 64)
    put(store, "erp", "b" * 64)
    statement = update(GRANTS).where(GRANTS.c.conn_id == "crm").values(revision=99, **damage)
    store._database.run(lambda connection: connection.execute(statement), writes=True)
    broken, whole = store.list_records()
    assert said in str(broken.failure)
    assert broken.record is None
    assert whole.record is not None


@pytest.mark.slow
def test_more_grants_than_one_statement_takes_are_listed(store: ClockedStore) -> None:
    for number in range(520):
        store.acquire(f"{number:064}", owner="test", ttl=1.0)
    assert len(store.list_records()) == 520
