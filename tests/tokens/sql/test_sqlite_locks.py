"""Several stores of one process in one SQLite file: no other process may take the file for unused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from oauth_taskflow.budgets.sql import SqlBudgetStore
from oauth_taskflow.consents.sql import SqlConsentStore
from oauth_taskflow.errors import TokenStoreError
from oauth_taskflow.tokens.sql.store import SqlTokenStore
from tests.tokens.conftest import KEY

# As a command does: it opens the store, looks, and closes its last connection at its end.
_LOOK = (
    "import sys\n"
    "from oauth_taskflow.tokens.sql.store import SqlTokenStore\n"
    "store = SqlTokenStore(sys.argv[1], [sys.argv[2]])\n"
    "print(sorted(key for _, key in store.list_grants()))\n"
    "store.close()\n"
)


def look(url: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _LOOK, url, KEY], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.mark.slow
def test_what_a_process_with_several_stores_writes_is_seen_by_others(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'tokens.db'}"
    tokens, budgets, consents = (
        SqlTokenStore(url, [KEY]),
        SqlBudgetStore(url),
        SqlConsentStore(url, [KEY]),
    )
    tokens.acquire("first", owner="a", ttl=10.0)
    budgets.count_budgets("crm", ["k"])
    consents.drop_expired()
    assert look(url) == "['first']"
    tokens.acquire("second", owner="a", ttl=10.0)
    assert look(url) == "['first', 'second']"
    for store in (tokens, budgets, consents):
        store.close()


def test_a_store_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "tokens.db"
    store = SqlTokenStore(f"sqlite:///{path}", [KEY])
    store.list_grants()
    assert path.stat().st_mode & 0o777 == 0o600
    store.close()


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TokenStoreError, match="cannot be opened"):
        SqlTokenStore(f"sqlite:///{tmp_path}", [KEY]).list_grants()
