"""Response rules: what matches, and in which order."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_taskflow.api.options import ResponseRule
from oauth_taskflow.api.response_rules import Decision, Rules
from oauth_taskflow.errors import RecordsNotFound
from tests.api.pull.offline import answer


def matches(rule: ResponseRule, **reply: Any) -> bool:
    return Rules([rule])(answer(reply.pop("body", {}), **reply)) is not None


@pytest.mark.parametrize(
    ("declared", "status", "hit"),
    [
        (404, 404, True),
        (404, 403, False),
        ("5xx", 599, True),
        ("5xx", 499, False),
        ("500-504", 504, True),
        ("500-504", 505, False),
        ((403, "500-504"), 502, True),
        ((403, "500-504"), 404, False),
        (None, 200, True),
    ],
)
def test_statuses_match_by_number_class_range_and_list(
    declared: Any, status: int, hit: bool
) -> None:
    assert matches(ResponseRule(status=declared, action="skip"), status=status) is hit


def test_headers_match_by_regular_expression_in_any_case() -> None:
    rule = ResponseRule(header={"x-maintenance": "^on$", "Server": ""}, action="skip")
    assert matches(rule, headers={"X-Maintenance": "on", "server": "a"})
    assert not matches(rule, headers={"X-Maintenance": "only", "server": "a"})
    assert not matches(rule, headers={"X-Maintenance": "on"})


@pytest.mark.parametrize(
    ("when", "body", "hit"),
    [
        ("ok == `false`", {"ok": False}, True),
        ("ok == `false`", {"ok": True}, False),
        ("errors", {"errors": []}, False),
        ("errors", {"errors": ["a"]}, True),
        ("error.code", {"error": {"code": "x"}}, True),
        ("contains(message, 'rate')", {"message": "rate limit"}, True),
        ("contains(message, 'rate')", {"message": None}, False),
        ("error", b"<html>", False),
        ("error", b"", False),
    ],
)
def test_bodies_match_by_a_true_jmespath(when: str, body: Any, hit: bool) -> None:
    assert matches(ResponseRule(when=when, action="skip"), body=body) is hit


@pytest.mark.parametrize(
    ("when", "message"),
    [
        (
            "lower(state) == 'error'",
            "The JMESPath \"lower(state) == 'error'\" always fails: there is no function lower().",
        ),
        (
            "starts_with(state)",
            "The JMESPath 'starts_with(state)' always fails: starts_with() takes 2 arguments, not 1.",
        ),
        ("state[", "'state[' is not a JMESPath expression: "),
    ],
)
def test_a_condition_that_no_answer_could_meet_is_refused(when: str, message: str) -> None:
    with pytest.raises(RecordsNotFound) as caught:
        Rules([ResponseRule(when=when, action="fail")])
    assert str(caught.value).startswith(message)


def test_all_conditions_of_a_rule_must_hold() -> None:
    rule = ResponseRule(status=403, when="code == 'gone'", header={"X-A": "1"}, action="skip")
    good: dict[str, Any] = {"status": 403, "body": {"code": "gone"}, "headers": {"X-A": "1"}}
    assert matches(rule, **good)
    parts: list[dict[str, Any]] = [{"status": 404}, {"body": {"code": "x"}}, {"headers": {}}]
    for part in parts:
        assert not matches(rule, **{**good, **part})


def test_the_first_rule_that_matches_decides() -> None:
    rules = Rules(
        [
            ResponseRule(status=404, action="skip"),
            ResponseRule(
                status="4xx", action="rate_limit", wait="PT1M", max_attempts=2, message="m"
            ),
            ResponseRule(status="4xx", action="end"),
        ]
    )
    assert rules(answer({}, status=404)) == Decision("skip")
    assert rules(answer({}, status=410)) == Decision("rate_limit", 60.0, 2, "m")
    assert rules(answer({}, status=200)) is None


def test_a_rule_without_an_action_fails() -> None:
    decision = Rules([ResponseRule(status=404)])(answer({}, status=404))
    assert decision is not None
    assert (decision.action, decision.holds_all) == ("fail", False)
