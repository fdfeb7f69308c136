"""How a value of a record shows: as it is, or by kind, length and shape."""

from __future__ import annotations

import threading
from contextvars import copy_context
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.api.decoders.numbers import ExactFloat
from oauth_taskflow.record_values import (
    ValuePolicy,
    apply_policy,
    describe_hidden,
    find_cause,
    is_value_shown,
    show_value,
)
from tests.support.values import HIDE_ALL


@pytest.mark.parametrize(
    ("value", "shown", "hidden"),
    [
        ("31.01.2026 10:00", "'31.01.2026 10:00'", "a text of 16 characters like '99.99.9999 99:99'"),
        ("2026-01-31T06:00:00Z", "'2026-01-31T06:00:00Z'", "a text of 20 characters like '9999-99-99a99:99:99a'"),
        ("3rd März 2026", "'3rd März 2026'", "a text of 13 characters like '9a a 9999'"),
        ("/Date(1700000000000)/", "'/Date(1700000000000)/'", "a text of 21 characters like '/a(9999999999999)/'"),
        ("Ada Lovelace", "'Ada Lovelace'", "a text of 12 characters"),
        ("", "''", "a text of 0 characters"),
        ("x1" * 50, f"'{('x1' * 50)[:39]}", "a text of 100 characters"),
        ("٣ € 5\n", "'٣ € 5\\n'", "a text of 6 characters like '9 ? 9?'"),
        (-1234.5, "-1234.5", "a number of 7 characters like '-9999.9'"),
        (ExactFloat.parse("0.10000000000000000001"), None, "a number of 22 characters like '9.99999999999999999999'"),
        (True, "True", "a boolean"),
        (None, "None", "null"),
        ({"a": 1}, "{'a': 1}", "a mapping"),
        ([1, "x"], "[1, 'x']", "a list"),
    ],
)  # fmt: skip
def test_a_hidden_value_shows_its_kind_length_and_shape(
    value: Any, shown: str | None, hidden: str
) -> None:
    assert shown is None or show_value(value) == shown
    with apply_policy(HIDE_ALL):
        assert show_value(value, "born") == hidden


def test_secrets_are_hidden_under_any_policy() -> None:
    assert show_value("s3cret", "client_secret") == "a text of 6 characters like 'a9a'"
    assert show_value("Bearer abcdefghijk") == "'Bearer ***'"


def test_a_policy_answers_for_each_path_and_hides_what_holds_others() -> None:
    with apply_policy(ValuePolicy(lambda path: path == "id")):
        assert show_value(1, "id") == "1"
        assert show_value(1, "size") == "a number of 1 characters like '9'"
        assert show_value({"x": 1}, "id") == "a mapping"
        with apply_policy(None):
            assert is_value_shown("size")
        assert not is_value_shown("size")
    assert is_value_shown("size")


def test_a_policy_holds_in_threads_that_read_ahead() -> None:
    seen: list[str] = []
    with apply_policy(HIDE_ALL):
        thread = threading.Thread(
            target=copy_context().run, args=(lambda: seen.append(show_value("Ada")),)
        )
        thread.start()
        thread.join()
    assert seen == ["a text of 3 characters"]


def test_causes_are_left_out_where_values_are_hidden() -> None:
    error = ValueError("time data 'Ada' does not match")
    assert find_cause(error) is error
    with apply_policy(HIDE_ALL):
        assert find_cause(error) is None


@given(st.text(alphabet=st.characters(categories=["L", "Nd"]), min_size=2))
def test_no_letter_and_no_digit_but_a_and_9_is_in_a_shape(text: str) -> None:
    with apply_policy(HIDE_ALL):
        _, _, shape = show_value(text).partition("like")
    assert {character for character in shape if character.isalnum()} <= {"a", "9"}


def test_a_hidden_boolean_has_no_length() -> None:
    assert describe_hidden("boolean", "true") == "a boolean"
