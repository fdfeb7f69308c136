"""A check of a page's rows that is to see them as ``fields`` leaves them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from oauth_taskflow.engine.fields_stage import check_reshaped
from oauth_taskflow.fields.options import Fields


class Seen:
    """Says yes, and keeps the rows."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def __call__(self, rows: list[Any]) -> bool:
        self.rows = [msgspec.json.decode(row) for row in rows]
        return True


def raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode())


def build(seen: Seen, **options: Any) -> Any:
    return check_reshaped(seen, msgspec.convert(options, Fields), {}, None)


def test_it_sees_the_names_and_values_after_the_steps() -> None:
    seen = Seen()
    assert build(seen, move={"a": "b"})([raw('{"a": 1}')])
    assert seen.rows == [{"b": 1}]


def test_without_steps_it_is_asked_itself() -> None:
    seen = Seen()
    assert check_reshaped(seen, None, {}, None) is seen
    assert check_reshaped(None, Fields(), {}, None) is None


@pytest.mark.parametrize(
    ("on_error", "said", "rows"), [("fail", False, []), ("quarantine", True, [{"a": 2}])]
)
def test_a_row_that_cannot_be_reshaped_says_no_unless_it_goes_to_quarantine(
    on_error: str, said: bool, rows: list[Any]
) -> None:
    seen = Seen()
    check = build(seen, cast={"a": "integer"}, on_error=on_error)
    assert check([raw('{"a": "x"}'), raw('{"a": "2"}')]) is said
    assert seen.rows == rows


def test_a_page_of_which_no_row_is_left_says_no() -> None:
    seen = Seen()
    check = build(seen, cast={"a": "integer"}, on_error="quarantine")
    assert check([raw('{"a": "x"}')]) is False
    assert check([]) is True  # nothing was left out
    assert check.save() is None
    check.restore(None)
