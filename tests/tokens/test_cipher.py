"""Encryption of stored records: bound to their row, readable through key rotation, closed to all others."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.errors import TokenStoreError, TokenUndecryptable
from oauth_taskflow.tokens.cipher import TokenCipher

OLD, NEW = Fernet.generate_key(), Fernet.generate_key()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON, st.text(), st.integers())
def test_sealed_content_opens_unchanged(content: object, grant_key: str, version: int) -> None:
    cipher = TokenCipher([NEW])
    assert content == cipher.open(
        cipher.seal(content, grant_key=grant_key, version=version),
        grant_key=grant_key,
        version=version,
    )


def test_a_ciphertext_moved_to_another_row_is_refused() -> None:
    cipher = TokenCipher([NEW])
    sealed = cipher.seal({"a": 1}, grant_key="mine", version=1)
    with pytest.raises(TokenUndecryptable) as raised:
        cipher.open(sealed, grant_key="yours", version=1)
    assert str(raised.value) == (
        "The stored token cannot be read: it was written for another grant or version in grant yours. "
        "It was copied, or put back from an older copy of the table. Restore the row as it was, or authorize the "
        "connection again: airflow oauth login CONN_ID."
    )


def test_a_worker_with_another_key_is_asked_for_its_key_before_anything_else() -> None:
    """To delete the row, or to log in there, would end a grant that lives for every other worker."""
    sealed = TokenCipher([OLD]).seal({}, grant_key="mine", version=1)
    with pytest.raises(TokenUndecryptable) as raised:
        TokenCipher([NEW]).open(sealed, grant_key="mine", version=1)
    assert str(raised.value) == (
        "The stored token cannot be read: no key of the ring opens it in grant mine. First make sure that [core] "
        "fernet_key is the same here as on the machines whose tasks succeed: the grant may be alive for them. After a "
        "rotation of the key, put the old one back at the end. Only when no machine has the key any more, authorize the "
        "connection again: airflow oauth login CONN_ID."
    )


def test_a_ciphertext_of_an_older_version_is_refused() -> None:
    cipher = TokenCipher([NEW])
    with pytest.raises(TokenUndecryptable):
        cipher.open(cipher.seal({}, grant_key="k", version=1), grant_key="k", version=2)


def test_an_old_key_of_the_ring_still_reads_and_the_newest_writes() -> None:
    sealed = TokenCipher([OLD]).seal({}, grant_key="k", version=1)
    assert TokenCipher([NEW, OLD]).open(sealed, grant_key="k", version=1) == {}
    rewritten = TokenCipher([NEW, OLD]).seal({}, grant_key="k", version=1)
    assert TokenCipher([NEW]).open(rewritten, grant_key="k", version=1) == {}


@pytest.mark.parametrize("damaged", ["", "plain text", "gAAAAA", "é"])
def test_content_that_no_key_opens_is_named(damaged: str) -> None:
    with pytest.raises(TokenUndecryptable, match="no key of the ring opens it"):
        TokenCipher([NEW]).open(damaged, grant_key="k", version=1)


def test_without_a_key_nothing_is_stored() -> None:
    with pytest.raises(TokenStoreError) as raised:
        TokenCipher([])
    assert str(raised.value) == (
        "No encryption key for the token store. Set [core] fernet_key; tokens are never stored in the clear."
    )


@pytest.mark.parametrize("key", ["", "short", "a" * 43 + "!", b"x" * 32])
def test_a_key_that_is_not_a_fernet_key_is_refused_without_showing_it(key: str | bytes) -> None:
    with pytest.raises(TokenStoreError, match="not a Fernet key") as raised:
        TokenCipher([key])
    assert raised.value.__cause__ is None


def test_fingerprints_are_equal_for_equal_secrets_and_differ_by_key() -> None:
    ring = TokenCipher([NEW, OLD])
    assert ring.fingerprint("secret") == TokenCipher([NEW]).fingerprint("secret")
    assert ring.fingerprints("secret")[1] == TokenCipher([OLD]).fingerprint("secret")
    assert len({*ring.fingerprints("secret"), ring.fingerprint("other")}) == 3


@given(st.text(min_size=6))
def test_a_fingerprint_does_not_contain_the_secret(secret: str) -> None:
    assert secret not in TokenCipher([NEW]).fingerprint(secret)
