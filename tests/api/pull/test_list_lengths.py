"""Lists of several parents or windows that are read without ``paginate``: an API that cuts them off shows by their lengths."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.api.options import SinglePage
from oauth_taskflow.api.pull.page_warnings import PageWarnings, judge_ends
from oauth_taskflow.errors import ApiError
from tests.api.scripted import Asked, Reply
from tests.engine.cut_off import build_endpoint, pull


def judge(*tasks: list[int], **options: Any) -> list[str]:
    """The warnings about tasks that have each read lists of these lengths."""
    ends = []
    for lengths in tasks:
        found = PageWarnings(None)
        for rows in lengths:
            found.add_sequence(1, rows, rows, **options)
        ends.append(found.ends())
    return list(judge_ends(ends))


def test_three_lists_of_one_usual_length_and_none_longer_are_a_warning() -> None:
    (warning,) = judge([3, 100, 7, 100, 0, 100])
    assert warning == (
        "3 lists have exactly 100 rows, none has more, and one page is read of each. If the server hands out no more at once, "
        "records are missing from this output: write paginate, or paginate: {type: none} if these are whole."
    )


@pytest.mark.parametrize(
    "lengths",
    [
        [100, 100, 3],  # two are a chance
        [100, 100, 100],  # all of one length, as hours of a day
        [100, 100, 100, 101],  # the server sends longer ones
        [99, 99, 99, 3],
        [10, 10, 10, 10, 2],  # short lists have one length by chance
        [1440, 1440, 1440, 600],  # the minutes of days, the last one not over
        [],
    ],
)
def test_other_lengths_are_no_sign(lengths: list[int]) -> None:
    assert judge(lengths) == []


def test_lists_that_show_their_end_do_not_count() -> None:
    assert judge([100, 100, 100, 3], named=True) == []


@given(st.lists(st.lists(st.sampled_from([0, 7, 20, 50, 51]), max_size=5), max_size=4))
def test_mapped_tasks_are_judged_together_in_any_order(tasks: list[list[int]]) -> None:
    every = [rows for lengths in tasks for rows in lengths]
    longest = max(every, default=0)
    expected = longest in {20, 50} and every.count(longest) >= 3 and min(every) < longest
    assert len(judge(*tasks)) == len(judge(*reversed(tasks))) == int(expected)


CAP = 20
ROWS = {"a": 45, "b": 3, "c": 20, "d": 31}


def answer(asked: Asked, more: dict[str, Any]) -> Reply:
    parent = asked.path.rpartition("/")[2]
    return Reply({"items": [{"id": f"{parent}{n}"} for n in range(min(CAP, ROWS[parent]))], **more})


@pytest.mark.parametrize(
    ("more", "paginate", "count"),
    [
        ({}, None, 1),
        ({}, SinglePage(), 0),
        ({"has_more": False}, None, 0),
        ({"next": None}, None, 0),
    ],
)
def test_a_run_over_parents_warns_unless_the_author_or_the_api_says_that_lists_are_whole(
    tmp_path: Path, more: dict[str, Any], paginate: SinglePage | None, count: int
) -> None:
    endpoint = build_endpoint(tmp_path, "page", paginate=paginate)
    summary = pull(tmp_path, lambda asked: answer(asked, more), endpoint, [*ROWS])
    warnings = [text for text in summary.warnings if "lists have exactly" in text]
    assert (summary.rows, len(warnings)) == (63, count)


def test_a_run_that_was_cut_off_judges_the_lists_of_all_its_attempts(tmp_path: Path) -> None:
    refused = list[str]()

    def refuse_once(asked: Asked) -> Reply:
        if asked.path.endswith("/c") and not refused:
            refused.append(asked.path)
            return Reply({}, 503)
        return answer(asked, {})

    endpoint = build_endpoint(tmp_path, "page", paginate=None)
    with pytest.raises(ApiError, match="503"):
        pull(tmp_path, refuse_once, endpoint, [*ROWS])
    summary = pull(tmp_path, refuse_once, endpoint, [*ROWS])
    assert summary.resumed == 1
    (warning,) = summary.warnings
    assert warning.startswith("3 lists have exactly 20 rows, none has more")
