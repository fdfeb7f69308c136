"""A rotated refresh token while the store is down: kept in an encrypted file, imported when it is back."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from oauth_taskflow.errors import InvalidGrant, TokenStoreError
from oauth_taskflow.oauth.endpoint.outcomes import Granted, Outcome
from oauth_taskflow.oauth.grants import RefreshToken
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.tokens.cipher import TokenCipher
from oauth_taskflow.tokens.manager import TokenManager
from oauth_taskflow.tokens.recovery_files import RecoveryFiles
from oauth_taskflow.tokens.state.record import GrantRecord
from oauth_taskflow.tokens.state.rescued import ConsentFacts, RescuedAnswer
from oauth_taskflow.tokens.state.transitions import Transition
from tests.support.clock import FakeClock
from tests.tokens.clocked_store import ClockedStore
from tests.tokens.conftest import KEY
from tests.tokens.endpoints import ScriptedEndpoint, grants, invalid_grant, script_endpoint
from tests.tokens.grant import rotate_elsewhere


class FailingStore(ClockedStore):
    """Takes no writes while ``down`` says so, as a database with a full disk."""

    down: Callable[[], bool] = staticmethod(lambda: False)

    def change(self, record: GrantRecord, transition: Transition) -> GrantRecord:
        if self.down():
            raise TokenStoreError("The disk is full")
        return super().change(record, transition)


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> FailingStore:
    return FailingStore(f"sqlite:///{tmp_path}/t.db", [KEY], clock=clock)


def manager(store: FailingStore, endpoint: ScriptedEndpoint, seed: str = "seed") -> TokenManager:
    return TokenManager.for_grant(store, endpoint, RefreshToken(seed), clock=store._clock)


def lose_the_store(store: FailingStore, clock: FakeClock) -> tuple[TokenManager, ScriptedEndpoint]:
    """A manager whose refresh was answered while the store took no writes."""
    endpoint = script_endpoint(
        lambda: _down_from_now(store, grants(clock, "first", "rt-1")),
        grants(clock, "second", "rt-2"),
    )
    under_test = manager(store, endpoint)
    with pytest.raises(TokenStoreError, match="The disk is full"):
        under_test.token()
    store.down = lambda: False
    clock.advance(91)
    return under_test, endpoint


def _down_from_now(store: FailingStore, answer: Callable[[], Outcome]) -> Outcome:
    store.down = lambda: True
    return answer()


def test_a_store_that_comes_back_in_time_is_waited_for(
    store: FailingStore, clock: FakeClock
) -> None:
    back_at = clock.now() + 20
    endpoint = script_endpoint(grants(clock, "first", "rt-1"))
    sent = endpoint.sent
    store.down = lambda: bool(sent) and clock.now() < back_at
    assert manager(store, endpoint).token().access_token == "first"
    assert not list(store.recovery.folder.glob("*"))


def test_a_token_the_store_did_not_take_is_imported_later(
    store: FailingStore, clock: FakeClock
) -> None:
    under_test, endpoint = lose_the_store(store, clock)
    assert under_test.token().access_token == "first"
    assert store.read(under_test.grant_key).refresh_token == "rt-1"
    assert endpoint.sent == ["seed"]
    assert not list(store.recovery.folder.glob("*"))


def test_a_predecessor_that_was_accepted_while_the_store_was_away_is_imported_later(
    store: FailingStore, clock: FakeClock
) -> None:
    endpoint = script_endpoint(
        grants(clock, "first", "rt-1"),
        invalid_grant(),
        lambda: _down_from_now(store, grants(clock, "second", None)),
    )
    under_test = manager(store, endpoint)
    under_test.token()
    key = under_test.grant_key
    store.change(store.read(key), lambda record: replace(record, predecessor="living"))
    clock.advance(4000)
    with pytest.raises(TokenStoreError, match="The disk is full"):
        under_test.token()
    store.down = lambda: False
    clock.advance(91)
    assert under_test.token().access_token == "second"
    assert (store.read(key).refresh_token, endpoint.sent[1:]) == ("living", ["rt-1", "living"])


def test_the_file_is_encrypted_and_closed_to_others(store: FailingStore, clock: FakeClock) -> None:
    lose_the_store(store, clock)
    (path,) = store.recovery.folder.glob("*")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert "rt-1" not in path.read_text()


def test_a_link_put_in_the_way_of_the_file_is_not_followed(tmp_path: Path) -> None:
    files = RecoveryFiles(tmp_path / "recovery", TokenCipher([KEY]))
    files.folder.mkdir()
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (files.folder / f"{'k' * 64}.1.{os.getpid()}.draft").symlink_to(victim)
    with pytest.raises(TokenStoreError, match="cannot be written"):
        files.save(RescuedAnswer("k" * 64, 1, "", Token("at", 0.0), "rt"))
    assert victim.read_text() == "mine"


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    files = RecoveryFiles(tmp_path / "recovery", TokenCipher([KEY]))
    files.folder.mkdir()
    (files.folder / f"{'k' * 64}.1.4711.draft").write_text("gAAAA, and here the power went")
    assert not files.has_pending("k" * 64)
    assert files.load("k" * 64) == []
    files.save(RescuedAnswer("k" * 64, 1, "", Token("at", 0.0), "rt"))
    assert [rescued.refresh_token for _, rescued in files.load("k" * 64)] == ["rt"]


def cut_short(store: FailingStore) -> Path:
    """The saved answer as a writer leaves it that is killed before the file gets its name."""
    (path,) = store.recovery.folder.glob("*.rescued")
    return path.rename(path.with_suffix(".draft"))


def test_an_answer_whose_writer_was_killed_before_it_named_the_file_is_imported(
    store: FailingStore, clock: FakeClock
) -> None:
    under_test, endpoint = lose_the_store(store, clock)
    cut_short(store)
    assert under_test.token().access_token == "first"
    assert store.read(under_test.grant_key).refresh_token == "rt-1"
    assert endpoint.sent == ["seed"]
    assert not list(store.recovery.folder.glob("*"))


def test_a_consent_whose_writer_was_killed_before_it_named_the_file_waits(tmp_path: Path) -> None:
    files = RecoveryFiles(tmp_path, TokenCipher([KEY]))
    consent = ConsentFacts("c1", "crm")
    path = files.save(RescuedAnswer("k" * 64, 1, "", Token("at", 0.0), "rt", consent=consent))
    path.rename(path.with_suffix(".draft"))
    assert files.list_consents() == {("crm", "k" * 64)}


def test_a_draft_that_does_not_open_counts_as_a_file_when_no_writer_can_be_at_it(
    store: FailingStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    under_test, _ = lose_the_store(store, clock)
    draft = cut_short(store)
    whole = draft.read_text()
    draft.write_text(whole[:-9])
    assert not store.recovery.has_pending(under_test.grant_key)
    assert draft.exists()
    old = draft.stat().st_mtime - 90_000
    os.utime(draft, (old, old))
    assert store.recovery.load(under_test.grant_key) == []
    assert "not usable" in caplog.text  # with its path: it may wait for a key that is away
    draft.with_suffix(".rescued").write_text(whole)
    later = RecoveryFiles(store.recovery.folder, store.recovery._cipher)
    assert [rescued.refresh_token for _, rescued in later.load(under_test.grant_key)] == ["rt-1"]


def finish_or_remove(draft: Path, *, remove: bool) -> None:
    """Another process finds the draft of a living writer."""
    if remove:
        draft.unlink()
    assert RecoveryFiles(draft.parent, TokenCipher([KEY])).has_pending("k" * 64) != remove
    assert not draft.exists()


@pytest.mark.parametrize("remove", [True, False])
def test_a_draft_that_another_process_takes_away_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remove: bool
) -> None:
    files, fsync = RecoveryFiles(tmp_path, TokenCipher([KEY])), os.fsync

    def take_away(handle: int) -> None:
        fsync(handle)
        for draft in tmp_path.glob("*.draft"):
            monkeypatch.setattr(os, "fsync", fsync)
            finish_or_remove(draft, remove=remove)

    monkeypatch.setattr(os, "fsync", take_away)
    files.save(RescuedAnswer("k" * 64, 1, "", Token("at", 0.0), "rt"))
    assert [rescued.refresh_token for _, rescued in files.load("k" * 64)] == ["rt"]


def test_a_draft_that_is_always_taken_away_is_not_written_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = RecoveryFiles(tmp_path, TokenCipher([KEY]))

    def take_away(_: int) -> None:
        for draft in tmp_path.glob("*.draft"):
            draft.unlink()

    monkeypatch.setattr(os, "fsync", take_away)
    with pytest.raises(TokenStoreError, match="cannot be written"):
        files.save(RescuedAnswer("k" * 64, 1, "", Token("at", 0.0), "rt"))


def test_all_refresh_tokens_of_an_answer_are_in_its_file() -> None:
    rescued = RescuedAnswer("k" * 64, 1, "", Token("at", 0.0), "rt", others=("rt-b",), sent="rt-c")
    assert RescuedAnswer.from_fields(json.loads(json.dumps(rescued.fields))) == rescued
    plain = RescuedAnswer("k" * 64, 1, "", Token("at", 0.0), "rt")
    assert RescuedAnswer.from_fields(json.loads(json.dumps(plain.fields))) == plain
    assert not {"others", "sent"} & set(plain.fields)


def test_a_rescued_refresh_token_behind_a_newer_one_becomes_an_alternate(
    store: FailingStore, clock: FakeClock
) -> None:
    under_test, _ = lose_the_store(store, clock)
    rotate_elsewhere(store, under_test.grant_key, clock, "new")
    assert under_test.token().access_token == "at-new"
    assert store.read(under_test.grant_key).alternates == ("rt-1",)


def test_a_rescued_refresh_token_of_a_consent_that_was_replaced_is_dropped(
    store: FailingStore, clock: FakeClock
) -> None:
    under_test, _ = lose_the_store(store, clock)
    token = Token("at-new", clock.now(), clock.now() + 3600)
    under_test.stored.expect_consent().store(Granted(token, "rt-new"))
    assert under_test.token().access_token == "at-new"
    assert store.read(under_test.grant_key).alternates == ()
    assert not list(store.recovery.folder.glob("*"))


def test_a_rescued_token_is_imported_although_a_stored_failure_blocks_requests(
    store: FailingStore, clock: FakeClock
) -> None:
    under_test, _ = lose_the_store(store, clock)
    (path,) = store.recovery.folder.glob("*")
    kept = path.read_bytes()
    path.unlink()
    with pytest.raises(Exception, match="no whole answer arrived"):
        manager(store, script_endpoint(invalid_grant())).token()
    path.write_bytes(kept)
    assert under_test.token().access_token == "first"


def damage_file(store: FailingStore, grant_key: str) -> Path:
    """A file that cannot be imported, in the way of that grant."""
    store.recovery.folder.mkdir()
    path = store.recovery.folder / f"{grant_key}.1.{os.getpid() + 1}.rescued"
    path.write_text("damaged")
    return path


def test_an_unreadable_file_is_left_alone_and_named(
    store: FailingStore, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    under_test = manager(store, script_endpoint(grants(clock, "first", "rt-1")))
    path = damage_file(store, under_test.grant_key)
    assert under_test.token().access_token == "first"
    assert path.exists()
    assert f"recovery file {path} is not usable (TokenUndecryptable)" in caplog.text


def test_an_unreadable_file_causes_no_further_refresh(
    store: FailingStore, clock: FakeClock
) -> None:
    endpoint = script_endpoint(grants(clock, "first", "rt-1"), grants(clock, "second", "rt-2"))
    damage_file(store, manager(store, endpoint).grant_key)
    for _ in range(3):  # each is a new process, which reads the store
        assert manager(store, endpoint).token().access_token == "first"
    assert endpoint.sent == ["seed"]


def test_an_unreadable_file_does_not_make_workers_ask_for_a_dead_grant(
    store: FailingStore, clock: FakeClock
) -> None:
    endpoint = script_endpoint(invalid_grant(), invalid_grant())
    under_test = manager(store, endpoint)
    damage_file(store, under_test.grant_key)
    for _ in range(3):
        with pytest.raises(InvalidGrant):
            under_test.token()
    assert endpoint.sent == ["seed"]


def test_a_new_refresh_token_is_in_a_file_before_the_store_is_asked_to_take_it(
    store: FailingStore, clock: FakeClock
) -> None:
    seen: list[list[Path]] = []

    def look() -> bool:
        seen.append(list(store.recovery.folder.glob("*")))
        return False

    def break_store() -> Outcome:
        store.down = look
        return grants(clock, "first", "rt-1")()

    manager(store, script_endpoint(break_store)).token()
    assert len(seen[0]) == 1
    assert not list(store.recovery.folder.glob("*"))


def test_a_failure_on_the_way_to_the_store_does_not_lose_the_new_refresh_token(
    store: FailingStore, clock: FakeClock
) -> None:
    def break_store() -> Outcome:
        store.down = broken
        return grants(clock, "first", "rt-1")()

    def broken() -> bool:
        raise TypeError("a row of a version that is newer than this one")

    endpoint = script_endpoint(break_store)
    under_test = manager(store, endpoint)
    with pytest.raises(TypeError):
        under_test.token()
    store.down = lambda: False
    clock.advance(91)
    assert under_test.token().access_token == "first"
    assert endpoint.sent == ["seed"]


def test_an_imported_answer_ends_the_doubt(store: FailingStore, clock: FakeClock) -> None:
    under_test, _ = lose_the_store(store, clock)
    clock.advance(3600)  # what the file holds has expired: it is refreshed at once
    endpoint = script_endpoint(invalid_grant())
    with pytest.raises(InvalidGrant, match="Refresh token refused"):
        manager(store, endpoint).token()
    assert endpoint.sent == ["rt-1"]
    assert under_test.stored.read().refresh_token == "rt-1"


def test_a_file_that_vanishes_while_it_is_read_was_imported_by_another_worker(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = RecoveryFiles(tmp_path, TokenCipher([KEY]))
    (tmp_path / f"{'k' * 64}.1.1.rescued").symlink_to(tmp_path / "gone")
    assert files.load("k" * 64) == []
    assert caplog.text == ""


def test_a_folder_that_cannot_be_written_is_named(store: FailingStore) -> None:
    store.recovery.folder.write_text("a file where the folder should be")
    with pytest.raises(TokenStoreError) as raised:
        store.recovery.save(RescuedAnswer("key", 1, "", Token("at", 0.0), "rt"))
    assert str(raised.value) == (
        f"The recovery file cannot be written (File exists); the new token is lost at "
        f"{store.recovery.folder}/key.1.{os.getpid()}.rescued. "
        "Make the folder writable, and authorize the connection again if the next refresh fails."
    )
