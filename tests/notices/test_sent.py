"""Which notice comes next, from what was sent."""

from __future__ import annotations

from oauth_taskflow.notices.sent import NOTHING, Choice, SentNotice, apply_choice, choose_notice
from oauth_taskflow.notices.trouble import Trouble

DUE, FAILING = Trouble("consent_due", ends_at=900.0), Trouble("refresh_failing", since=10.0)
DEAD = Trouble("needs_consent", since=50.0)


def test_troubles_are_told_one_after_the_other_and_then_no_more() -> None:
    assert choose_notice({}, [DUE, FAILING], 100, None) == Choice("consent_due")
    sent = apply_choice({}, Choice("consent_due"), 100)
    assert choose_notice(sent, [DUE, FAILING], 100, None) == Choice("refresh_failing", 10.0)
    sent = apply_choice(sent, Choice("refresh_failing", 10.0), 100)
    assert choose_notice(sent, [DUE, FAILING], 1e9, None) == NOTHING


def test_what_lasts_is_told_again_after_the_configured_time() -> None:
    assert choose_notice({"consent_due": SentNotice(100.0)}, [DUE], 159, 60) == NOTHING
    assert choose_notice({"consent_due": SentNotice(100.0)}, [DUE], 160, 60) == Choice(
        "consent_due", is_repeat=True
    )


def test_a_trouble_that_began_after_the_last_notice_is_another_event() -> None:
    assert (
        choose_notice({"refresh_failing": SentNotice(99.0, 10.0)}, [FAILING], 100, None) == NOTHING
    )
    sent = {
        "refresh_failing": SentNotice(99.0, 9.0)
    }  # sent after this one began: another worker was slow
    assert choose_notice(sent, [FAILING], 100, None) == Choice("refresh_failing", 10.0)


def test_a_grant_that_dies_after_it_failed_is_told_as_dead_and_not_as_recovered() -> None:
    sent = {"refresh_failing": SentNotice(20.0, 10.0), "consent_due": SentNotice(20.0)}
    assert choose_notice(sent, [DEAD], 100, None) == Choice("needs_consent", 50.0)
    sent = apply_choice(sent, Choice("needs_consent", 50.0), 100)
    silent = choose_notice(sent, [DEAD], 100, None)
    assert silent == Choice("", over=("consent_due", "refresh_failing"))
    sent = apply_choice(sent, silent, 100)
    assert sent == {"needs_consent": SentNotice(100, 50.0)}
    assert choose_notice(sent, [], 200, None) == Choice("recovered", over=("needs_consent",))


def test_one_of_two_troubles_can_end_alone() -> None:
    sent = {"refresh_failing": SentNotice(20.0, 10.0), "consent_due": SentNotice(20.0)}
    over = choose_notice(sent, [DUE], 100, None)
    assert over == Choice("recovered", over=("refresh_failing",))
    assert apply_choice(sent, over, 100) == {"consent_due": SentNotice(20.0)}
