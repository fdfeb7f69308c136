"""How a watermark moves, without a database."""

from __future__ import annotations

from datetime import datetime, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.watermarks.partitions import partition_key, write_partition
from oauth_taskflow.watermarks.state import (
    MOST_AT_VALUE,
    NOTHING,
    Move,
    WatermarkState,
    advance,
    compare,
    find_lowest,
    fingerprint,
    keep_some,
)

VALUES = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
NOON = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)


def state(value: object, *marks: str) -> WatermarkState:
    return WatermarkState(value, at_value=marks)  # type: ignore[arg-type]  # any value


@given(st.lists(VALUES, min_size=1, max_size=20))
def test_a_watermark_never_moves_back_whatever_the_order(values: list[int | float]) -> None:
    stored = NOTHING
    for value in values:
        stored = advance(stored, Move("", NOTHING, state(value)))
    assert stored.value == max(values)


@given(VALUES, st.text())
def test_a_state_keeps_its_digits_and_texts_as_text(value: float, cursor: str) -> None:
    kept = WatermarkState(value, cursor, ("a",))
    assert WatermarkState.from_text(kept.to_text()) == kept
    assert kept.to_text().isascii()


def test_records_at_one_value_are_those_of_both_runs() -> None:
    moved = advance(state("2026-01-01", "a"), Move("", NOTHING, state("2026-01-01", "b")))
    assert moved == state("2026-01-01", "a", "b")
    assert advance(moved, Move("", NOTHING, state("2026-01-02", "c"))).at_value == ("c",)


def test_too_many_records_at_one_value_are_not_kept() -> None:
    assert keep_some(map(str, range(MOST_AT_VALUE))) != ()
    assert keep_some(map(str, range(MOST_AT_VALUE + 1))) == ()


def test_a_cursor_moves_from_where_the_run_began_only() -> None:
    move = Move("", WatermarkState(cursor="a"), WatermarkState(cursor="b"))
    assert advance(WatermarkState(cursor="a"), move).cursor == "b"
    assert advance(WatermarkState(cursor="c"), move).cursor == "c"
    assert advance(WatermarkState(cursor="a"), Move("", NOTHING, NOTHING)).cursor == "a"


def test_another_kind_of_value_is_refused_with_the_way_out() -> None:
    with pytest.raises(InvalidRecord) as caught:
        advance(state("2026-01-01T00:00:00Z"), Move("", NOTHING, state(7)))
    assert str(caught.value) == (
        "The watermarks 7 and '2026-01-01T00:00:00Z' cannot be compared. The stored watermark is of another kind: if "
        "incremental.field was changed, drop it with airflow oauth watermark reset."
    )


def test_the_roll_up_is_the_lowest_and_nothing_while_one_has_none() -> None:
    assert find_lowest([state(3), state(1), state(2)]).value == 1
    assert find_lowest([state(3), NOTHING]) == NOTHING
    assert find_lowest([]) == NOTHING


def test_records_have_one_fingerprint_however_their_keys_are_ordered() -> None:
    assert fingerprint({"a": 1, "b": None}) == fingerprint({"b": None, "a": 1})
    assert fingerprint(msgspec.Raw(b'{"a":1}')) == fingerprint(msgspec.Raw(b'{"a":1}'))
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


def test_a_partition_is_canonical() -> None:
    assert write_partition({"b": 1, "a": "é"}) == write_partition({"a": "é", "b": 1})
    assert write_partition({}) == partition_key("") == ""
    assert len(partition_key(write_partition({"a": "x" * 9999}))) == 64
    assert partition_key(write_partition({"a": "\ud800"}))


@pytest.mark.parametrize("unreadable", ["soon", "31.12.2026"])
def test_a_stored_value_that_is_no_instant_is_not_compared(unreadable: str) -> None:
    with pytest.raises(InvalidRecord, match=f"'{unreadable}' cannot be compared"):
        compare("2026-01-01T00:00:00Z", unreadable)
