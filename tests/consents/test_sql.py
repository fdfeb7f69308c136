"""Consents on real databases: sealed, found by any server, handed out once, gone after minutes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import create_engine, select, text, update
from sqlalchemy.exc import OperationalError

from oauth_taskflow.consents import sql
from oauth_taskflow.consents.record import DeviceTurn, TakenConsent, Wait
from oauth_taskflow.consents.sql import Parked, Parking, SqlConsentStore, open_consent_store
from oauth_taskflow.consents.table import CONSENTS
from oauth_taskflow.errors import TokenStoreError, TokenUndecryptable
from tests.consents.conftest import SECRET, STATE, make_pending
from tests.tokens.conftest import KEY

ANSWER = (("code", "the-code"), ("state", STATE))
Servers = list[SqlConsentStore]


def park(store: SqlConsentStore, state: str = STATE) -> str:
    parked = store.park(state, ANSWER)
    assert isinstance(parked, Parked)
    return parked.ticket


def age_rows(url: str, seconds: float) -> None:
    """Let every row be ``seconds`` older."""
    engine = create_engine(url)
    with engine.begin() as connection:
        columns = ("began_at", "expires_at", "ask_at")
        older = {name: CONSENTS.c[name] - seconds for name in columns}
        connection.execute(update(CONSENTS).values(**older))
    engine.dispose()


def read_table(url: str) -> list[dict[str, Any]]:
    engine = create_engine(url)
    with engine.connect() as connection:
        rows = (
            connection.execute(text("SELECT * FROM oauth_taskflow_pending_consent"))
            .mappings()
            .all()
        )
    engine.dispose()
    return [dict(row) for row in rows]


def run_together(work: Callable[[int], object], count: int) -> list[object]:
    """What ``count`` threads get that run ``work`` at once."""
    results: list[object] = []
    ready = threading.Barrier(count)

    def run(number: int) -> None:
        ready.wait()
        results.append(work(number))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_three_servers_begin_park_and_take_one_consent(servers: Servers) -> None:
    servers[0].begin(make_pending(state=STATE))
    ticket = park(servers[1])
    taken = servers[2].take(ticket)
    assert taken is not None
    assert taken.pending == make_pending(state=STATE)
    assert taken.answer == ANSWER
    assert 0 <= taken.age < 30
    assert servers[0].take(ticket) is None


def test_one_that_was_put_back_is_taken_once_more_with_its_age(servers: Servers) -> None:
    servers[0].begin(make_pending(state=STATE))
    ticket = park(servers[1])
    first = servers[2].take(ticket)
    assert first is not None
    aged = TakenConsent(first.pending, first.answer, first.age + 100)
    servers[2].put_back(ticket, aged, pause=20)
    assert servers[1].park(STATE, ANSWER) is Parking.REPEATED
    second = servers[0].take(ticket)
    assert second is not None
    assert (second.pending, second.answer) == (first.pending, first.answer)
    assert 100 <= second.age < 130
    assert servers[1].take(ticket) is None


def test_one_that_is_read_stays_until_it_is_taken(servers: Servers) -> None:
    servers[0].begin(make_pending(state=STATE))
    ticket = park(servers[1])
    for server in servers:
        seen = server.read(ticket)
        assert seen is not None
        assert (seen.pending, seen.answer) == (make_pending(state=STATE), ANSWER)
        assert 0 <= seen.age < 30
    assert servers[0].read("another") is None
    assert servers[2].take(ticket) is not None
    assert servers[0].read(ticket) is None


def test_one_that_is_prolonged_ends_five_minutes_after_its_pause(
    servers: Servers, url: str
) -> None:
    servers[0].begin(make_pending(state=STATE))
    ticket = park(servers[1])
    servers[2].prolong(ticket, pause=200)
    engine = create_engine(url)
    with engine.connect() as connection:
        began, ends = connection.execute(select(CONSENTS.c.began_at, CONSENTS.c.expires_at)).one()
    engine.dispose()
    assert 500 <= ends - began < 530
    servers[0].prolong(ticket, pause=-301)
    assert servers[1].read(ticket) is None
    servers[0].prolong(ticket, pause=200)  # one that is over does not live again
    assert servers[1].take(ticket) is None


def test_of_many_callers_at_once_one_gets_the_consent(servers: Servers) -> None:
    servers[0].begin(make_pending(state=STATE))
    ticket = park(servers[0])
    results = run_together(lambda number: servers[number % 3].take(ticket), 9)
    assert sum(isinstance(result, TakenConsent) for result in results) == 1


def test_of_many_callbacks_at_once_one_is_kept(servers: Servers) -> None:
    servers[0].begin(make_pending(state=STATE))
    results = run_together(lambda number: servers[number % 3].park(STATE, ANSWER), 9)
    assert sum(isinstance(result, Parked) for result in results) == 1
    assert sum(result is Parking.REPEATED for result in results) == 8


def test_an_answer_to_an_unknown_state_is_not_kept(servers: Servers, url: str) -> None:
    servers[0].begin(make_pending(state=STATE))
    assert servers[0].park("another", ANSWER) is Parking.UNKNOWN
    assert read_table(url)[0]["answer"] is None


def test_the_state_is_no_ticket(servers: Servers) -> None:
    servers[0].begin(make_pending(state=STATE))
    park(servers[0])
    assert servers[0].take(STATE) is None
    assert servers[0].take("") is None


def test_the_database_holds_no_secret_in_clear(servers: Servers, url: str) -> None:
    servers[0].begin(make_pending(state=STATE))
    ticket = park(servers[0])
    shown = repr(read_table(url))
    for secret in (SECRET, STATE, ticket, "the-code", "crm", "ann"):
        assert secret not in shown


def test_a_consent_is_over_after_ten_minutes(servers: Servers, url: str) -> None:
    servers[0].begin(make_pending(state=STATE))
    age_rows(url, 540)
    ticket = park(servers[0])
    age_rows(url, 240)
    assert len(read_table(url)) == 1
    age_rows(url, 61)
    assert servers[0].take(ticket) is None
    assert servers[0].drop_expired() == 1
    assert read_table(url) == []


def test_an_answer_that_comes_too_late_is_not_kept(servers: Servers, url: str) -> None:
    servers[0].begin(make_pending(state=STATE))
    age_rows(url, 601)
    assert not isinstance(servers[0].park(STATE, ANSWER), Parked)
    servers[0].begin(make_pending(state="next"))
    assert len(read_table(url)) == 1


def test_a_device_code_is_asked_about_by_one_server_per_interval(
    servers: Servers, url: str
) -> None:
    ticket = servers[0].begin_device(make_pending(), lifetime=900, interval=5)
    first = servers[1].take_turn(ticket, busy=30)
    assert isinstance(first, Wait)
    assert 0 < first.seconds <= 5
    age_rows(url, 6)
    results = run_together(lambda number: servers[number % 3].take_turn(ticket, busy=30), 9)
    turns = [result for result in results if isinstance(result, DeviceTurn)]
    assert [(turn.interval, turn.pending.device_code) for turn in turns] == [(5.0, SECRET)]
    servers[2].wait_for_turn(ticket, 10)
    later = servers[0].take_turn(ticket, busy=30)
    assert isinstance(later, Wait)
    assert 5 < later.seconds <= 10


def test_a_server_that_dies_while_it_asks_does_not_end_a_device_consent(
    servers: Servers, url: str
) -> None:
    ticket = servers[0].begin_device(make_pending(), lifetime=900, interval=5)
    age_rows(url, 6)
    assert isinstance(servers[0].take_turn(ticket, busy=30), DeviceTurn)
    age_rows(url, 31)
    assert isinstance(servers[1].take_turn(ticket, busy=30), DeviceTurn)


def test_a_device_consent_is_taken_once_and_then_over(servers: Servers) -> None:
    ticket = servers[0].begin_device(make_pending(), lifetime=900, interval=0)
    results = run_together(lambda number: servers[number % 3].take(ticket), 6)
    (taken,) = [result for result in results if isinstance(result, TakenConsent)]
    assert taken.answer is None
    assert servers[0].take_turn(ticket, busy=30) is None


def test_a_commit_without_an_answer_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqlConsentStore(f"sqlite:///{tmp_path / 'tokens.db'}", [KEY])
    run = store._database._once
    lost: set[object] = set()

    def lose_first_answer(work: Any, **how: Any) -> Any:
        result = run(work, **how)
        if work not in lost:
            lost.add(work)
            raise OperationalError("COMMIT", {}, Exception("connection lost"))
        return result

    monkeypatch.setattr(store._database, "_once", lose_first_answer)
    store.begin(make_pending(state=STATE))
    taken = store.take(park(store))
    assert taken is not None
    assert taken.answer == ANSWER
    store.close()


def test_a_flood_of_consents_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "_MOST_IN_FLIGHT", 2)
    store = SqlConsentStore(f"sqlite:///{tmp_path / 'tokens.db'}", [KEY])
    for number in range(2):
        store.begin(make_pending(state=str(number)))
    with pytest.raises(TokenStoreError, match="More than 2 consents are in flight"):
        store.begin(make_pending(state="one more"))
    store.close()


def test_one_user_keeps_no_other_out_and_the_oldest_of_many_gives_way(
    servers: Servers, url: str
) -> None:
    servers[0].begin(make_pending(state="of another user", user_id="ben"))
    first = servers[0].begin_device(make_pending(), lifetime=600, interval=5)
    for number in range(25):
        servers[number % 3].begin(make_pending(state=str(number)))
        age_rows(url, 1)
    assert len(read_table(url)) == 21
    assert isinstance(servers[0].park("of another user", ANSWER), Parked)
    assert servers[0].park("4", ANSWER) is Parking.UNKNOWN
    assert isinstance(servers[0].park("5", ANSWER), Parked)
    assert isinstance(servers[0].park("24", ANSWER), Parked)
    assert servers[0].take_turn(first, busy=1) is None


def test_many_begins_of_one_user_at_once_leave_room_for_others(servers: Servers, url: str) -> None:
    def begin_six(number: int) -> None:
        for turn in range(6):
            servers[number % 3].begin(make_pending(state=f"{number}/{turn}"))

    run_together(begin_six, 6)
    servers[0].begin(make_pending(state="the last"))
    assert len(read_table(url)) == 20
    assert isinstance(servers[0].park("the last", ANSWER), Parked)


def test_another_key_or_a_swapped_row_opens_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'tokens.db'}"
    store = SqlConsentStore(url, [KEY])
    other = SqlConsentStore(url, [Fernet.generate_key()])
    store.begin(make_pending(state=STATE))
    with pytest.raises(TokenUndecryptable, match="All API servers need the same"):
        other.take(park(store))
    for state in ("one", "two"):
        store.begin(make_pending(state=state))
    one, two = park(store, "one"), park(store, "two")
    engine = create_engine(url)
    with engine.begin() as connection:
        swap = text(
            "UPDATE oauth_taskflow_pending_consent SET answer = :answer WHERE ticket_key = :key"
        )
        answers = {row["ticket_key"]: row["answer"] for row in read_table(url)}
        mine, theirs = sql._key("ticket", one), sql._key("ticket", two)
        connection.execute(swap, {"answer": answers[theirs], "key": mine})
    engine.dispose()
    with pytest.raises(TokenUndecryptable):
        store.take(one)
    store.close()
    other.close()


def test_keys_may_rotate_while_a_consent_is_in_flight(tmp_path: Path) -> None:
    url, new = f"sqlite:///{tmp_path / 'tokens.db'}", Fernet.generate_key().decode()
    store = open_consent_store(url, (KEY,))
    assert open_consent_store(url, (KEY,)) is store
    store.begin(make_pending(state=STATE))
    rotated = open_consent_store(url, (new, KEY))
    assert rotated.take(park(store)) is not None
    assert repr(store) == f"SqlConsentStore({url!r})"
    store.close()
    rotated.close()


def test_a_role_that_may_not_create_tables_is_told_so(postgres_url: str) -> None:
    engine = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("DROP ROLE IF EXISTS limited"))
        connection.execute(text("CREATE ROLE limited LOGIN"))
    url = engine.url.set(username="limited").render_as_string(hide_password=False)
    store = SqlConsentStore(url, [KEY])
    with pytest.raises(TokenStoreError, match="permission denied") as caught:
        store.begin(make_pending(state=STATE))
    assert SECRET not in str(caught.value)
    store.close()
    engine.dispose()
