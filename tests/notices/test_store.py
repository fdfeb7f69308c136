"""Claims of notices and the memory of them, on every database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from oauth_taskflow.errors import TokenStoreError
from oauth_taskflow.notices import store as store_module
from oauth_taskflow.notices.sent import Choice, SentNotice
from oauth_taskflow.notices.store import CLAIM_SECONDS, Claim, NoticeStore, Topic
from oauth_taskflow.notices.trouble import Trouble
from tests.notices.conftest import ClockedNoticeStore
from tests.support.clock import FakeClock
from tests.support.notices import list_sent

DEAD = (Trouble("needs_consent"),)


def test_a_trouble_is_told_once_and_its_end_once(real_store: NoticeStore, topic: Topic) -> None:
    assert real_store.claim(topic, DEAD, owner="a") == Claim(Choice("needs_consent"))
    real_store.settle(topic, "a")
    assert real_store.claim(topic, DEAD, owner="b") == Claim()
    over = real_store.claim(topic, (), owner="c")
    assert over == Claim(Choice("recovered", over=("needs_consent",)))
    real_store.settle(topic, "c")
    assert real_store.claim(topic, (), owner="d") == Claim()
    assert list_sent(real_store, topic.conn_id) == {}  # the row is gone


def test_of_many_workers_at_once_one_sends(real_store: NoticeStore, topic: Topic) -> None:
    together = Barrier(8)

    def claim(number: int) -> Claim:
        together.wait()
        return real_store.claim(topic, DEAD, owner=f"worker {number}")

    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(claim, range(8)))
    assert sum(one.choice is not None for one in claims) == 1
    assert sum(one.is_busy for one in claims) == 7


def test_a_notice_that_was_not_sent_is_for_the_next_worker(
    real_store: NoticeStore, topic: Topic
) -> None:
    real_store.claim(topic, DEAD, owner="a")
    real_store.release(topic, "not mine")
    assert real_store.claim(topic, DEAD, owner="b").is_busy
    real_store.release(topic, "a")
    assert real_store.claim(topic, DEAD, owner="b").choice == Choice("needs_consent")


def test_the_same_owner_gets_the_same_claim_again(real_store: NoticeStore, topic: Topic) -> None:
    first = real_store.claim(topic, DEAD, owner="a")
    assert real_store.claim(topic, (), owner="a") == first


def test_a_worker_that_died_after_sending_makes_the_notice_come_twice_rather_than_never(
    store: ClockedNoticeStore, topic: Topic, clock: FakeClock
) -> None:
    store.claim(topic, DEAD, owner="dead")
    clock.advance(CLAIM_SECONDS - 1)
    assert store.claim(topic, DEAD, owner="next").is_busy
    clock.advance(2)
    assert store.claim(topic, DEAD, owner="next").choice == Choice("needs_consent")
    store.settle(topic, "dead")  # it lives after all, and has no say any more
    assert list_sent(store, topic.conn_id) == {topic.channel: {}}
    store.settle(topic, "next")
    assert list_sent(store, topic.conn_id) == {
        topic.channel: {"needs_consent": SentNotice(clock.now())}
    }


def test_channels_and_connections_are_told_each_for_themselves(
    real_store: NoticeStore, topic: Topic
) -> None:
    other = Topic(topic.conn_id, "dag: SmtpNotifier")
    long = Topic(f"{topic.conn_id}{'x' * 300}", topic.channel)
    for one in (topic, other, long):
        assert real_store.claim(one, DEAD, owner="a").choice is not None
        real_store.settle(one, "a")


def test_a_healthy_connection_costs_no_write(
    store: ClockedNoticeStore, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.claim(topic, (), owner="a")  # makes the table
    monkeypatch.setattr(store, "_lock", None)  # what every write begins with
    assert store.claim(topic, (), owner="b") == Claim()


def test_a_connection_has_so_many_channels_and_no_more(
    real_store: NoticeStore, topic: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_MOST_CHANNELS", 2)
    topics = [Topic(topic.conn_id, f"channel {number}") for number in range(3)]
    for one in topics[:2]:
        real_store.admit(one)
        real_store.claim(one, DEAD, owner="a")
    real_store.admit(topics[0])
    with pytest.raises(TokenStoreError, match=r"too many channels for notices \(2\)"):
        real_store.admit(topics[2])


def test_a_store_shows_without_its_password() -> None:
    shown = repr(NoticeStore("postgresql+psycopg://airflow:s3cret@db.example/airflow"))
    assert shown.startswith("NoticeStore('postgresql")
    assert "s3cret" not in shown
