"""The texts that people get: nothing secret, no address of consent, and nothing that mail or Slack would execute."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.notices.notice import Notice, build_notice, clean_text, describe_troubles
from oauth_taskflow.notices.sent import RECOVERED, Choice
from oauth_taskflow.notices.trouble import Trouble

LINK = "https://flow.example.com/plugin/oauth/connect/crm"
HOSTILE = (
    "Refused: <script>alert(1)</script> <!channel> https://id.example.com/authorize?client_id=x&state=s3cr3t-state "
    "open https://me:pw123456@id.example.com/a#access_token=abc refresh_token=rt-123456 {{ 7*7 }}\r\nBcc: all@example.com"
)


def notice(*troubles: Trouble) -> Notice:
    choice = Choice(troubles[0].kind)
    return build_notice("crm", choice, troubles, LINK)


def test_every_kind_has_a_title_that_says_what_to_do_when() -> None:
    sent = [
        notice(Trouble("needs_consent")),
        notice(Trouble("consent_due", ends_at=1_800_000_000.0)),
        notice(Trouble("refresh_failing", since=1_800_000_000.0, problem="Away.")),
        build_notice("crm", Choice(RECOVERED, over=("consent_due", "refresh_failing")), (), LINK),
    ]
    assert [one.text for one in sent] == [
        f"OAuth connection crm needs a person: tasks fail until it is authorized again\n{LINK}",
        f"OAuth connection crm: a person must authorize it again by 2027-01-15T08:00:00Z\n{LINK}",
        "OAuth connection crm: refreshes fail since 2027-01-15T08:00:00Z\nAway.\n"
        f"Tasks go on while their access token lasts, and fail then.\n{LINK}",
        "OAuth connection crm works again\nIts consent was renewed; its refreshes work again.\n"
        f"{LINK}",
    ]


def test_a_repeated_notice_says_so() -> None:
    repeated = build_notice(
        "crm", Choice("needs_consent", is_repeat=True), [Trouble("needs_consent")], LINK
    )
    assert repeated.title.endswith("authorized again (reminder)")


def test_the_text_of_a_server_reaches_people_without_secrets_addresses_and_markup() -> None:
    sent = notice(Trouble("refresh_failing", since=1.0, problem=HOSTILE))
    for text in (sent.text, sent.html, sent.slack):
        for secret in ("s3cr3t", "client_id", "pw123456", "rt-123456", "access_token=abc"):
            assert secret not in text
    assert "https://id.example.com/authorize open https://id.example.com/a" in sent.text
    assert "<script>" not in sent.html
    assert "<!channel>" not in sent.slack
    assert "\r" not in sent.text
    assert sent.text.count("\n") == 3


@given(st.text(max_size=300), st.sampled_from(["?state=", "?a=b&state=", "#state=", "/x?state="]))
def test_no_address_keeps_its_query_whatever_is_around_it(around: str, query: str) -> None:
    cleaned = clean_text(f"{around} https://id.example.com/authorize{query}NOT-TO-BE-SEEN {around}")
    assert "NOT-TO-BE-SEEN" not in cleaned
    assert "\n" not in cleaned


@pytest.mark.parametrize("conn_id", ["crm\nBcc: x@example.com", "c" * 900])
def test_a_title_is_one_line_of_a_length_that_mail_takes(conn_id: str) -> None:
    title = build_notice(conn_id, Choice("needs_consent"), [Trouble("needs_consent")], "").title
    assert "\n" not in title
    assert len(title) <= 600


def test_all_troubles_fit_into_one_line() -> None:
    line = describe_troubles(
        "crm", [Trouble("needs_consent", problem="Why."), Trouble("consent_due")]
    )
    assert line == (
        "OAuth connection crm needs a person: tasks fail until it is authorized again: Why; OAuth connection crm: a person "
        "must authorize it again by an unknown time"
    )
