"""Merges by an incremental field whose texts or numbers are not in the order of time as they are."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pyarrow")
import pyarrow as pa

from oauth_taskflow.destinations.base import EndpointFacts
from oauth_taskflow.destinations.tables.row_order import RowOrder
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.record_schema.model import FieldType, RecordSchema
from tests.tables.kinds import Kind, put, read_rows

Form = str | tuple[str, ...] | None
# The form, an older value, and a newer one which comes before it as a text or number.
PAIRS: list[tuple[Form, Any, Any]] = [
    ("%d/%m/%Y", "28/02/2026", "01/03/2026"),
    ("http", "Wed, 31 Dec 2025 08:00:00 GMT", "Thu, 01 Jan 2026 08:00:00 GMT"),
    (None, "2026-01-01T00:30:00+02:00", "2025-12-31T23:00:00Z"),
    (None, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z"),
    (None, "2026-01-01T01:00:00", "2026-01-01T00:59:59.999999999-00:30"),
    ("iso", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000000001Z"),
    ("integer", "9", "10"),
    (None, "9", "10"),
    (None, "9.5", "10.25"),
    ("dotnet", "/Date(999999999999)/", "/Date(1767225600000)/"),
    (("epoch", "epoch_ms"), 1767225599000, 1767225600),
    ("any", 1767225599000, 1767225600),
]


def facts(form: Form) -> EndpointFacts:
    return EndpointFacts(("id",), "u", None, form)


def merge(kind: Kind, folder: Path, run: str, form: Form, *values: Any) -> None:
    rows = [{"id": 1, "u": value, "v": f"{run}-{value}"} for value in values]
    put(kind, folder, rows, run, facts=facts(form), mode="merge")


def check_newer_wins(kind: Kind, folder: Path, form: Form, older: Any, newer: Any) -> None:
    """Merges both in several orders, within a run and in runs after one another."""
    merge(kind, folder, "r1", form, newer, older)
    assert read_rows(kind, folder, "id", "v") == [(1, f"r1-{newer}")]
    merge(kind, folder, "r2", form, older)
    assert read_rows(kind, folder, "id", "v") == [(1, f"r1-{newer}")]
    merge(kind, folder, "r3", form, older, newer, older)
    assert read_rows(kind, folder, "id", "v") == [(1, f"r3-{newer}")]


@pytest.mark.parametrize(("form", "older", "newer"), PAIRS)
def test_the_newer_record_wins_within_a_run_and_between_runs(
    kind: Kind, tmp_path: Path, form: Form, older: Any, newer: Any
) -> None:
    check_newer_wins(kind, tmp_path, form, older, newer)


def check_new_keys_and_missing_times(kind: Kind, tmp_path: Path) -> None:
    """Merges rows without a time, and keys that the table lacks."""
    form = "%d/%m/%Y"
    first = [{"id": 1, "u": "01/03/2026", "v": 1}, {"id": 2, "u": None, "v": 1}, {"id": 3, "v": 1}]
    put(kind, tmp_path, first, "r1", facts=facts(form), mode="merge")
    second = [
        {"id": 1, "u": "28/02/2026", "v": 2},
        {"id": 2, "u": "28/02/2026", "v": 2},
        {"id": 3, "u": "", "v": 2},
        {"id": 4, "u": "0000-00-00", "v": 2},
        {"id": 5, "v": 2},
    ]
    put(kind, tmp_path, second, "r2", facts=facts(form), mode="merge")
    assert read_rows(kind, tmp_path, "id", "v") == [(1, 1), (2, 2), (3, 2), (4, 2), (5, 2)]
    third = [{"id": number, "v": 3} for number in range(1, 7)]  # without the column
    put(kind, tmp_path, third, "r3", facts=facts(form), mode="merge")
    found = read_rows(kind, tmp_path, "id", "v")
    assert found == [(1, 1), (2, 2), (3, 3), (4, 3), (5, 3), (6, 3)]


def test_a_key_may_be_neither_a_number_nor_a_text(kind: Kind, tmp_path: Path) -> None:
    declared = RecordSchema({"day": FieldType("date"), "v": FieldType("integer")})
    options: dict[str, Any] = {"facts": EndpointFacts(("day",), declared=declared), "mode": "merge"}
    days = ("2026-01-31", "2026-02-01")
    put(kind, tmp_path, [{"day": day, "v": 1} for day in days], "r1", **options)
    put(kind, tmp_path, [{"day": days[0], "v": 2}], "r2", **options)
    assert [str(row[0]) for row in read_rows(kind, tmp_path, "day", "v")] == list(days)
    assert read_rows(kind, tmp_path, "v") == [(1,), (2,)]


def test_keys_that_are_new_and_rows_without_a_time_are_merged_beside_older_ones(
    kind: Kind, tmp_path: Path
) -> None:
    check_new_keys_and_missing_times(kind, tmp_path)


FLAWS: list[tuple[Form, tuple[str, str], str]] = [
    ("%d/%m/%Y", ("01/03/2026", "2026-03-02"), "not in the form"),
    (None, ("2026-03-01T00:00:00Z", "10"), "there are numbers, and '2026-03-01T00"),
    (None, ("10", "2026-03-01T00:00:00Z"), "there are instants, and '10' is one of numbers"),
    (None, ("10", "0.0000000001"), "too many digits"),
]


def check_refused(
    kind: Kind, folder: Path, form: Form, values: tuple[str, str], message: str
) -> None:
    """Merges one value, then another one that cannot be compared with it."""
    first, second = values
    merge(kind, folder, "r1", form, first)
    with pytest.raises(DestinationError, match=message):
        merge(kind, folder, "r2", form, second)
    assert read_rows(kind, folder, "v") == [(f"r1-{first}",)]


@pytest.mark.parametrize(("form", "values", "message"), FLAWS)
def test_what_cannot_be_compared_fails_the_run_and_changes_nothing(
    kind: Kind, tmp_path: Path, form: Form, values: tuple[str, str], message: str
) -> None:
    check_refused(kind, tmp_path, form, values, message)


def _write(moment: datetime, style: str, hours: int) -> str:
    local = moment.astimezone(timezone(timedelta(hours=hours)))
    return local.strftime(style) if "%" in style else local.isoformat(timespec=style)


_FIRST = datetime(1900, 1, 1, tzinfo=timezone.utc)
MOMENTS = st.timedeltas(timedelta(0), timedelta(days=2_900_000)).map(lambda after: _FIRST + after)
STYLES = st.sampled_from(["seconds", "microseconds", "auto", "%Y-%m-%dT%H:%M:%S.%f000%z"])


@given(st.lists(st.tuples(MOMENTS, STYLES, st.integers(-12, 14)), min_size=2, max_size=8))
def test_ranks_are_in_the_order_of_time(drawn: list[tuple[datetime, str, int]]) -> None:
    order = RowOrder("u", None, "here")
    cut = [
        (moment if style != "seconds" else moment.replace(microsecond=0), _write(moment, style, h))
        for moment, style, h in drawn
    ]
    together = order.rank(pa.array([text for _, text in cut])).to_pylist()
    alone = [order.rank(pa.array([text])).to_pylist()[0] for _, text in cut]
    assert together == alone
    by_time = sorted(range(len(cut)), key=lambda at: cut[at][0])
    assert [together[at] for at in by_time] == sorted(together)
