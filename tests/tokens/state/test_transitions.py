"""Each change of a record on its own, above all the conditions that guard a refresh token."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from oauth_taskflow.errors import TokenEndpointUnavailable
from oauth_taskflow.oauth.token import Token
from oauth_taskflow.tokens.grant_key import Fingerprints
from oauth_taskflow.tokens.state import transitions
from oauth_taskflow.tokens.state.answer_transitions import (
    AnswerFailure,
    FoundTokens,
    store_reread,
    store_unusable,
)
from oauth_taskflow.tokens.state.kept_answer import KeptAnswer
from oauth_taskflow.tokens.state.record import GrantRecord, Journal, LastFailure, Lease
from oauth_taskflow.tokens.state.rescued import RescuedAnswer

MINE, THEIRS = Lease("me", 90.0, 3), Lease("they", 190.0, 4)
STORED = GrantRecord(
    "key", token=Token("at", 0.0, 100.0), refresh_token="rt", lineage="mark-rt", lease=MINE
)
CAME = RescuedAnswer("key", 3, "mark-rt", Token("at-2", 50.0, 150.0), "rt-2")


def test_a_new_pair_replaces_the_one_it_was_traded_for() -> None:
    after = transitions.store_grant(CAME, "mark-rt-2")(STORED)
    assert after is not None
    assert (after.token, after.refresh_token, after.lineage) == (CAME.token, "rt-2", "mark-rt-2")
    assert after.lease == Lease(None, None, 3)


def test_a_new_pair_does_not_end_the_lease_of_a_successor() -> None:
    after = transitions.store_grant(CAME, "mark-rt-2")(replace(STORED, lease=THEIRS))
    assert after is not None
    assert (after.refresh_token, after.lease) == ("rt-2", THEIRS)


def test_a_late_pair_is_in_doubt_if_another_worker_may_have_sent_the_same_refresh_token() -> None:
    sent_again = Journal(4, "mark-rt", 70.0)
    after = transitions.store_grant(CAME, "mark-rt-2")(
        replace(STORED, lease=THEIRS, journal=sent_again)
    )
    assert after is not None
    assert after.journal == Journal(4, "mark-rt-2", 70.0, doubtful=True)
    own = transitions.store_grant(CAME, "mark-rt-2")(
        replace(STORED, journal=replace(sent_again, fence=3))
    )
    assert own is not None
    assert own.journal is None


@given(st.text(min_size=1).filter(lambda mark: mark.isascii() and mark != "mark-rt"))
def test_a_pair_of_another_lineage_never_replaces_the_stored_one(lineage: str) -> None:
    after = transitions.store_grant(CAME, "mark-rt-2")(replace(STORED, lineage=lineage))
    assert after is not None
    assert (after.refresh_token, after.token) == (STORED.refresh_token, STORED.token)
    assert after.alternates == ("rt-2",)


def test_at_most_two_different_alternates_are_kept_newest_first() -> None:
    record = replace(STORED, lineage="other", alternates=("a", "b"))
    after = transitions.store_grant(CAME, "m")(record)
    assert after is not None
    assert after.alternates == ("rt-2", "a")
    assert transitions.store_grant(CAME, "m")(after) is None
    assert transitions.store_grant(replace(CAME, refresh_token=None), None)(record) is None


def test_an_idempotent_grants_late_answer_does_not_replace_a_newer_token() -> None:
    newer = replace(STORED, lineage="", refresh_token=None, token=Token("new", 60.0))
    after = transitions.store_grant(replace(CAME, lineage="", refresh_token=None), None)(newer)
    assert after is not None
    assert after.token == newer.token
    assert after.lease.owner is None


def test_only_the_holder_of_the_lease_writes_the_journal() -> None:
    entry = Journal(3, "mark-rt", 1.0)
    assert (
        transitions.write_journal(MINE, "mark-rt", entry, 9.0)(replace(STORED, lease=THEIRS))
        is None
    )
    assert transitions.write_journal(MINE, "older lineage", entry, 9.0)(STORED) is None
    after = transitions.write_journal(MINE, "mark-rt", entry, 9.0)(STORED)
    assert after is not None
    assert after.journal == entry


def test_the_journal_keeps_the_time_of_the_first_sending() -> None:
    first = replace(STORED, journal=Journal(2, "mark-rt", 1.0))
    after = transitions.write_journal(
        MINE, "mark-rt", Journal(3, "mark-rt", 9.0, doubtful=True), 9.0
    )(first)
    assert after is not None
    assert after.journal == Journal(3, "mark-rt", 1.0, doubtful=True)


def test_a_journal_entry_whose_token_was_not_sent_is_removed() -> None:
    journaled = replace(STORED, journal=Journal(3, "mark-rt", 1.0))
    after = transitions.release_lease(MINE, unsent=True)(journaled)
    assert after is not None
    assert after.journal is None
    sent = transitions.release_lease(MINE, unsent=False)(journaled)
    assert sent is not None
    assert sent.journal == journaled.journal


def test_a_journal_entry_in_doubt_is_never_removed() -> None:
    doubtful = replace(STORED, journal=Journal(3, "mark-rt", 1.0, doubtful=True))
    after = transitions.release_lease(MINE, unsent=True)(doubtful)
    assert after is not None
    assert after.journal == doubtful.journal


def test_a_failure_without_the_lease_is_not_recorded() -> None:
    error = TokenEndpointUnavailable("away")
    transition = transitions.record_failure(
        MINE, "mark-rt", error, state=None, client="c", until=1.0, spent=False
    )
    assert transition(replace(STORED, lease=THEIRS)) is None
    assert transition(replace(STORED, lineage="newer")) is None


def test_the_connections_refresh_token_is_fingerprinted_with_the_newest_key_once() -> None:
    fingerprints = Fingerprints(seed=("new", "old"), client=("c",))
    after = transitions.refresh_fingerprints(fingerprints)(replace(STORED, seeds=("other", "old")))
    assert after is not None
    assert after.seeds == ("other", "new")
    assert transitions.refresh_fingerprints(fingerprints)(after) is None
    assert transitions.refresh_fingerprints(Fingerprints((), ("c",)))(STORED) is None


def test_the_stored_refresh_token_written_into_the_connection_supersedes_nothing() -> None:
    assert not transitions.is_superseded(STORED, Fingerprints(("mark-rt",), ("c",)))
    assert transitions.is_superseded(STORED, Fingerprints(("unseen",), ("c",)))
    assert transitions.replace_seed(Fingerprints(("mark-rt",), ("c",)), "rt")(STORED) is None


def test_a_key_is_stored_once_and_by_the_owner_of_the_lease() -> None:
    after = transitions.store_dpop_key(MINE, "key-1")(STORED)
    assert after is not None
    assert after.dpop_key == "key-1"
    assert transitions.store_dpop_key(MINE, "key-2")(after) is None
    assert transitions.store_dpop_key(THEIRS, "key-2")(STORED) is None


def test_the_end_of_a_token_is_set_once_and_for_that_token_alone() -> None:
    endless = replace(STORED, token=Token("at", 0.0, None))
    after = transitions.set_expiry("at", 70.0)(endless)
    assert after is not None
    assert after.token is not None
    assert after.token.expires_at == 70.0
    assert transitions.set_expiry("at", 80.0)(after) is None
    assert transitions.set_expiry("another", 70.0)(endless) is None
    assert transitions.set_expiry("at", 70.0)(replace(STORED, token=None)) is None


UNUSABLE = AnswerFailure(LastFailure("InvalidTokenResponse", {}, "client"), lasting=True)


def test_an_unusable_answer_of_an_earlier_consent_changes_nothing() -> None:
    after = store_unusable(CAME, "mark-rt-2", UNUSABLE)(replace(STORED, consent_fence=4))
    assert after is None


def test_an_unusable_answer_of_another_lineage_leaves_an_alternate() -> None:
    after = store_unusable(CAME, "mark-rt-2", UNUSABLE)(replace(STORED, lineage="other"))
    assert after is not None
    assert (after.refresh_token, after.alternates) == ("rt", ("rt-2",))


def test_an_answer_is_read_again_by_the_owner_while_it_is_the_latest() -> None:
    answer = KeptAnswer("e30=", "application/json", "", 1.0, 2.0)
    found = FoundTokens(answer, Token("at-9", 0.0, 100.0), "rt-9", "mark-rt-9")
    reread = store_reread(MINE, answer, found)
    assert reread(STORED) is None
    assert reread(replace(STORED, answer=answer, lease=THEIRS)) is None
    after = reread(replace(STORED, answer=answer))
    assert after is not None
    assert after.refresh_token == "rt-9"
