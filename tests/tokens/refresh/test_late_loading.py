"""Modules load late, and their files may be replaced by an upgrade: never between a refresh token and its successor."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
