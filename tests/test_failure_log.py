"""The text of a failure is logged at once outside a task, and inside one unless the same failure ends it."""

from __future__ import annotations

import logging

import pytest

from oauth_taskflow.failure_log import end_expectation, expect_failure, log_failure

_log = logging.getLogger("oauth_taskflow.tokens")
ERROR = ValueError("refused")


def fail() -> None:
    log_failure(_log, "connection crm", "connection crm needs a person", ERROR)


def test_outside_a_task_the_line_has_the_text(caplog: pytest.LogCaptureFixture) -> None:
    fail()
    assert caplog.messages == ["connection crm needs a person: refused"]


@pytest.mark.parametrize(
    ("end", "more"),
    [
        (ValueError("refused"), []),
        (ValueError("other"), ["connection crm: refused"]),
        (None, ["connection crm: refused"]),
    ],
)
def test_inside_a_task_the_text_follows_unless_it_ends_the_task(
    end: Exception | None, more: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        expect_failure()
    fail()
    end_expectation(None)
    assert caplog.messages == ["connection crm needs a person."]
    end_expectation(end)
    assert caplog.messages[1:] == more
    fail()
    assert caplog.messages[-1] == "connection crm needs a person: refused"
