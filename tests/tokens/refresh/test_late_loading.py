"""Modules load late, and their files may be replaced by an upgrade: never between a refresh token and its successor."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from oauth_taskflow.errors import InvalidGrant
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import RefreshToken
from oauth_taskflow.oauth.signing import Signer, shared_key
from oauth_taskflow.tokens.manager import TokenManager
from oauth_taskflow.tokens.sql.store import SqlTokenStore
from tests.tokens.conftest import KEY
from tests.tokens.rotating import plain, rotating

# A fresh interpreter; the server answers from another process, so that its own modules do not count.
SCRIPT = """
import sys
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import RefreshToken
from oauth_taskflow.tokens.events import Step
from oauth_taskflow.tokens.manager import TokenManager
from oauth_taskflow.tokens.sql.store import SqlTokenStore

url, store_url = sys.argv[1:]
loaded = {}
manager = TokenManager.for_grant(
    SqlTokenStore(store_url, ["A" * 43 + "="]),
    TokenEndpoint(url, Client("me", "client-secret"), conn_id="crm"),
    RefreshToken("seed-token"),
    observer=lambda event: loaded.setdefault(event.step, set(sys.modules)),
)
assert "jmespath" not in sys.modules  # this interpreter loads late
assert manager.token().access_token == "access-token-number-1"
# Python's own codecs load by the answer's text, and come with the interpreter.
print(*(name for name in set(sys.modules) - loaded[Step.JOURNALED] if not name.startswith("encodings.")))
"""


@pytest.mark.slow
def test_nothing_is_left_to_load_once_the_journal_says_that_a_refresh_token_is_sent(
    tmp_path: Path,
) -> None:
    with rotating(plain) as server:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, server.url, f"sqlite:///{tmp_path}/tokens.db"],
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.stdout.split(), done.stderr, done.returncode) == ([], "", 0)


@pytest.mark.parametrize(
    ("client_auth", "dpop"), [("client_secret_jwt", ""), ("client_secret_basic", "ES256")]
)
def test_a_signing_library_that_does_not_load_leaves_no_sign_of_a_lost_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client_auth: str, dpop: str
) -> None:
    client = Client("me", "client-secret", signer=Signer(shared_key("s" * 32), "me"))
    store = SqlTokenStore(f"sqlite:///{tmp_path}/tokens.db", [KEY])
    with rotating(plain) as server:
        endpoint = TokenEndpoint(server.url, client, client_auth, "crm", dpop=dpop)
        manager = TokenManager.for_grant(store, endpoint, RefreshToken("seed-token"))
        with monkeypatch.context() as replaced:
            replaced.setitem(sys.modules, "jwt", None)
            with pytest.raises(ModuleNotFoundError):
                manager.token()
        assert server.sent == []
        server.revoked = True  # and not because an answer got lost
        with pytest.raises(InvalidGrant) as raised:
            manager.token()
    assert type(raised.value) is InvalidGrant
