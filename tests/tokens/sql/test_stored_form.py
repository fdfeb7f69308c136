"""The names in rows and recovery files are those of earlier releases, whatever the code calls them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select

from oauth_taskflow.errors import TokenEndpointUnavailable
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.tokens.recovery_files import RecoveryFiles
from oauth_taskflow.tokens.sql.store import SqlTokenStore
from oauth_taskflow.tokens.sql.table import GRANTS
from oauth_taskflow.tokens.state.consent import Consent
from oauth_taskflow.tokens.state.kept_answer import KeptAnswer
from oauth_taskflow.tokens.state.record import GrantRecord, GrantState, Journal, LastFailure
from oauth_taskflow.tokens.state.rescued import RescuedAnswer
from tests.tokens.conftest import KEY

TOKEN = {
    "access_token": "at",
    "obtained_at": 1.0,
    "expires_at": 2.0,
    "token_type": "Bearer",
    "scope": "a",
    "extras": {},
}
ANSWER = {
    "body": "e30=",
    "content_type": "application/json",
    "date": "",
    "sent_at": 1.0,
    "received_at": 1.5,
    "read_as": ["r"],
    "held": True,
}
CONSENT = {"since": 1.0, "stated": 5.0, "ends_at": 5.0, "slides": True}
PAYLOAD = {
    "token": TOKEN,
    "refresh_token": "rt",
    "alternates": ["rt-0"],
    "seeds": ["s"],
    "dpop_key": "ES256\nkey",
    "consent": CONSENT,
    "consent_fence": 2,
    "doubted_at": 1.0,
    "answer": ANSWER,
    "predecessor": "rt-1",
    "origin": "other",
    "left_scope": "a",
}
JOURNAL = {"fence": 3, "mark": "m", "sent_at": 4.0, "doubtful": True}
TROUBLE = {
    "kind": "TokenEndpointUnavailable",
    "facts": {"what": "away"},
    "client": "c",
    "until": 9.0,
    "failures": 2,
}
RECORD = GrantRecord(
    "key",
    "crm",
    version=1,
    state=GrantState.ACTIVE,
    token=Token("at", 1.0, 2.0, scope="a"),
    refresh_token="rt",
    alternates=("rt-0",),
    seeds=("s",),
    dpop_key="ES256\nkey",
    consent=Consent(1.0, 5.0, 5.0, slides=True),
    consent_fence=2,
    doubted_at=1.0,
    answer=KeptAnswer("e30=", "application/json", "", 1.0, 1.5, ("r",), held=True),
    predecessor="rt-1",
    origin="other",
    left_scope="a",
    lineage="l",
    journal=Journal(3, "m", 4.0, doubtful=True),
    last_failure=LastFailure("TokenEndpointUnavailable", {"what": "away"}, "c", 9.0, 2),
)


def fields_of(record: GrantRecord) -> dict[str, Any]:
    names = set(GrantRecord.__struct_fields__) - {"read_at", "lease", "revision", "version"}
    return {name: getattr(record, name) for name in names}


def test_a_row_of_an_earlier_release_is_read(tmp_path: Path) -> None:
    store = SqlTokenStore(f"sqlite:///{tmp_path}/t.db", [KEY])
    values = {
        "grant_key": "key",
        "conn_id": "crm",
        "revision": 1,
        "version": 1,
        "state": "active",
        "payload": store.cipher.seal(PAYLOAD, grant_key="key", version=1),
        "lineage": "l",
        "journal": json.dumps(JOURNAL),
        "trouble": json.dumps(TROUBLE),
        "fence": 3,
    }
    store._database.run(lambda connection: connection.execute(insert(GRANTS), values), writes=True)
    found = store.read("key")
    assert fields_of(found) == fields_of(RECORD)
    assert found.last_failure is not None
    assert isinstance(found.last_failure.to_error(0.0), TokenEndpointUnavailable)


def test_a_row_is_written_in_the_form_of_earlier_releases(tmp_path: Path) -> None:
    store = SqlTokenStore(f"sqlite:///{tmp_path}/t.db", [KEY])
    leased = store.acquire("key", owner="me", ttl=30)
    assert leased is not None

    def fill(record: GrantRecord) -> GrantRecord:
        fields = {**fields_of(RECORD), "lease": record.lease, "read_at": record.read_at}
        return GrantRecord(**fields, revision=record.revision, version=record.version)

    store.change(leased, fill)
    columns = select(GRANTS.c.journal, GRANTS.c.trouble, GRANTS.c.payload)
    row = store._database.run(lambda connection: connection.execute(columns).one(), writes=False)
    assert json.loads(row.journal) == JOURNAL
    assert json.loads(row.trouble) == TROUBLE
    payload = store.cipher.open(row.payload, grant_key="key", version=1)
    assert {**payload, "token": None} == {**PAYLOAD, "token": None}
    assert payload["token"].items() >= TOKEN.items()


def test_a_recovery_file_of_an_earlier_release_is_read_and_written_alike(tmp_path: Path) -> None:
    store = SqlTokenStore(f"sqlite:///{tmp_path}/t.db", [KEY])
    files = RecoveryFiles(tmp_path / "files", store.cipher)
    fields = {
        "grant_key": "key",
        "fence": 3,
        "lineage": "l",
        "token": TOKEN,
        "refresh_token": "rt",
        "answer": ANSWER,
        "misplaced": True,
    }
    rescued = RescuedAnswer(
        "key", 3, "l", Token("at", 1.0, 2.0, scope="a"), "rt", RECORD.answer, misplaced=True
    )
    path = files.save(rescued)
    written = store.cipher.open(path.read_text(), grant_key="key", version=3)
    assert {**written, "token": None} == {**fields, "token": None, "answer": written["answer"]}
    assert written["answer"] == {**ANSWER, "read_as": ["r"]}
    path.write_text(store.cipher.seal(fields, grant_key="key", version=3))
    assert files.load("key") == [(path, rescued)]
