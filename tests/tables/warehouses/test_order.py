"""Merges by an incremental field that a warehouse would compare wrongly: the task compares it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("dlt")
from tests.tables.kinds import Kind
from tests.tables.lakes.test_order import (
    FLAWS,
    PAIRS,
    Form,
    check_new_keys_and_missing_times,
    check_newer_wins,
    check_refused,
)
from tests.tables.warehouses.support import TABLES, tables_of

# A commit takes about a second: a date, instants with offsets, and numbers of two units are enough for the gate.
GATE = (0, 2, 10)


@pytest.mark.parametrize(
    ("form", "older", "newer"),
    [
        pytest.param(*pair, marks=() if place in GATE else pytest.mark.full)
        for place, pair in enumerate(PAIRS)
    ],
)
def test_the_newer_record_wins_within_a_run_and_between_runs(
    kind: Kind, tmp_path: Path, form: Form, older: Any, newer: Any
) -> None:
    check_newer_wins(kind, tmp_path, form, older, newer)


def test_keys_that_are_new_and_rows_without_a_time_are_merged_beside_older_ones(
    kind: Kind, tmp_path: Path
) -> None:
    check_new_keys_and_missing_times(kind, tmp_path)


@pytest.mark.parametrize(
    ("form", "values", "message"),
    [
        pytest.param(*flaw, marks=() if place == 1 else pytest.mark.full)
        for place, flaw in enumerate(FLAWS)
    ],
)
def test_what_cannot_be_compared_fails_the_run_and_leaves_nothing(
    kind: Kind, tmp_path: Path, form: Form, values: tuple[str, str], message: str
) -> None:
    check_refused(kind, tmp_path, form, values, message)
    assert tables_of(kind, tmp_path) == TABLES
