"""Waits that a rule names by header or time of day, conditions on text, and accepted statuses."""

from __future__ import annotations

import re
import time
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.api.options import PageNumberPaginator, Records, ResponseRule
from oauth_taskflow.api.rule_waits import RuleWait, find_named_wait, seconds_until
from oauth_taskflow.text_patterns import find_text, text_pattern_flaw
from tests.api.conftest import Connect, Converse, Serve
from tests.api.scripted import Asked, FakeClock, Reply

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        ("seconds", "30", 30),
        ("seconds", "1.5", 1.5),
        ("epoch", "1800000060", 60),
        ("epoch_ms", "1800000060500", 60.5),
        ("http_date", formatdate(NOW + 90, usegmt=True), 90),
        ("duration", "PT2M", 120),
        ("seconds", "0", None),
        ("seconds", "99999999", None),
        ("seconds", "soon", None),
        ("epoch", "1700000000", None),
        ("duration", "2 minutes", None),
        ("http_date", "tomorrow", None),
        ("seconds", "", None),
    ],
)
def test_a_header_names_the_wait_in_the_form_that_the_rule_says(
    form: Any, text: str, expected: float | None
) -> None:
    assert find_named_wait(RuleWait(header="x-reset", as_=form), {"x-reset": text}, NOW) == expected


@pytest.mark.parametrize(
    ("time_of_day", "expected"),
    [
        ("08:00:01Z", 1),
        ("08:00Z", 86_400),
        ("00:00Z", 16 * 3600),
        ("09:30+01:00", 1800),
        ("00:00-08:00", 86_400),
        ("07:59Z", 86_340),
    ],
)
def test_the_next_such_time_of_day_is_waited_for(time_of_day: str, expected: float) -> None:
    assert seconds_until(time_of_day, NOW) == expected


@given(st.integers(0, 23), st.integers(0, 59), st.integers(-720, 840), st.floats(0, 4e9))
def test_the_wait_for_a_time_of_day_is_more_than_nothing_and_at_most_a_day(
    hour: int, minute: int, offset: int, now: float
) -> None:
    sign, (hours, minutes) = "-" if offset < 0 else "+", divmod(abs(offset), 60)
    wait = seconds_until(f"{hour:02}:{minute:02}{sign}{hours:02}:{minutes:02}", now)
    assert 0 < wait <= 86_400


def test_the_wait_of_a_rule_takes_precedence_over_retry_after(
    serve: Serve, connect: Connect, clock: FakeClock
) -> None:
    refused = Reply({}, 429, {"Retry-After": "1", "X-Reset": "7"})
    api = serve(lambda _: refused if len(api.asked) == 1 else [])
    rule = ResponseRule(status=429, action="retry", wait=RuleWait(header="X-Reset"))
    assert list(connect(api).paginate("/", responses=[rule])) == []
    assert clock.slept == [7.0]


def test_without_the_header_the_answers_own_wait_counts(
    serve: Serve, connect: Connect, clock: FakeClock
) -> None:
    refused = Reply({}, 429, {"Retry-After": "3"})
    api = serve(lambda _: refused if len(api.asked) == 1 else [])
    rule = ResponseRule(status=429, action="retry", wait=RuleWait(header="X-Reset"))
    assert list(connect(api).paginate("/", responses=[rule])) == []
    assert clock.slept == [3.0]


def page_with_404(asked: Asked) -> Reply:
    page = int(asked.query["page"])
    return Reply({"items": [{"id": page}] if page < 3 else []}, 404)


def test_an_accepted_status_is_a_page_sync_and_async(
    serve: Serve, connect: Connect, converse: Converse
) -> None:
    options: dict[str, Any] = {
        "records": Records(path="items"),
        "paginate": PageNumberPaginator(),
        "responses": [ResponseRule(status=404, action="accept")],
    }
    api = serve(page_with_404)
    assert [r["id"] for r in connect(api).paginate("/", **options)] == [1, 2]

    async def talk(session: Any) -> list[int]:
        return [record["id"] async for record in session.paginate("/", **options)]

    assert converse(api, talk) == [1, 2]


def test_a_text_tells_an_answer_from_others_of_its_status(serve: Serve, connect: Connect) -> None:
    rule = ResponseRule(status=404, when_text="no such .{0,20}page", action="skip")
    gone = serve(lambda _: Reply(b"<p>There is no such old page</p>", 404))
    assert list(connect(gone).paginate("/", responses=[rule])) == []
    other = serve(lambda _: Reply(b"<p>wrong path</p>", 404))
    with pytest.raises(Exception, match="404"):
        list(connect(other).paginate("/", responses=[rule]))


def test_only_the_beginning_of_a_text_is_searched() -> None:
    pattern = re.compile("end")
    assert find_text(pattern, "x" * 4000 + "end")
    assert not find_text(pattern, "x" * 5000 + "end")


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "quota",
        "a{3}b{2,4}",
        "^no.*page$",
        "(?i)quota.{0,40}exceeded",
        "(one|two) left",
        r"[a-z]+\d",
    ],
)
def test_a_pattern_of_bounded_time_is_accepted(pattern: str) -> None:
    assert text_pattern_flaw(pattern) == ""
    began = time.thread_time()
    find_text(re.compile(pattern), "a" * 100_000)
    assert time.thread_time() - began < 30


@pytest.mark.parametrize(
    ("pattern", "flaw"),
    [
        ("(a+)+b", "a repetition within another one"),
        ("(a|b*)*c", "a repetition within another one"),
        ("(?:x{1,9}){1,9}", "a repetition within another one"),
        (r"(a)\1", "back-reference"),
        ("(?=a+)b", "back-reference"),
        ("a.*b.*c", "several open repetitions"),
        ("(", "not a regular expression"),
        ("a" * 201, "longer than 200 characters"),
    ],
)
def test_a_pattern_that_may_take_for_ever_is_refused(pattern: str, flaw: str) -> None:
    assert flaw in text_pattern_flaw(pattern)


def test_a_rule_with_a_time_of_day_needs_no_header() -> None:
    assert find_named_wait(RuleWait(until="09:00Z"), {}, NOW) == 3600
