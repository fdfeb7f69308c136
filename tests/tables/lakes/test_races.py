"""Attempts in processes that commit at once: to one run, of which one wins, and to one table, into which all get."""

from __future__ import annotations

from pathlib import Path

import pytest

from oauth_taskflow.destinations.base import EndpointFacts
from tests.tables.kinds import Kind, put, read_rows
from tests.tables.lakes.attempts import AttemptOptions, race

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("mode", ["replace_run", "merge"])
@pytest.mark.parametrize("has_table", [True, False])
def test_of_attempts_of_one_run_at_once_one_wins(
    kind: Kind, tmp_path: Path, mode: str, has_table: bool
) -> None:
    if has_table:
        facts = EndpointFacts(("id",))
        put(kind, tmp_path, [{"id": 7, "tag": "other"}], "r0", facts=facts, mode=mode)
    tags = ["a", "b", "c"]
    ends = race(kind, tmp_path, *(AttemptOptions(tag, 3, mode=mode) for tag in tags))
    lost = [end for end in ends if not end.startswith("won")]
    assert len(lost) == 2, ends
    assert all("Another attempt of the same run" in end for end in lost), ends
    (tag,) = (tag for tag, end in zip(tags, ends, strict=True) if end not in lost)
    expected = [*([("r0", 7, "other")] if has_table else []), *(("r1", n, tag) for n in range(3))]
    assert read_rows(kind, tmp_path, "_run_id", "id", "tag") == expected


def test_mapped_instances_that_create_one_table_at_once_all_get_in(
    kind: Kind, tmp_path: Path
) -> None:
    attempts = [AttemptOptions(f"t{number}", 2, map_index=number) for number in range(8)]
    assert [end[:3] for end in race(kind, tmp_path, *attempts)] == ["won"] * 8
    rows = read_rows(kind, tmp_path, "_map_index", "id", "tag")
    assert rows == [(number, row, f"t{number}") for number in range(8) for row in range(2)]


def test_instances_that_merge_the_same_keys_at_once_leave_one_row_of_each(
    kind: Kind, tmp_path: Path
) -> None:
    attempts = [AttemptOptions(f"t{n}", 5, map_index=n, mode="merge") for n in range(4)]
    assert [end[:3] for end in race(kind, tmp_path, *attempts)] == ["won"] * 4
    assert [row[0] for row in read_rows(kind, tmp_path, "id")] == list(range(5))
