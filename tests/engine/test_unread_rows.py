"""An end below a number of records that the spec does not name is a warning of the run, also of one that was cut off."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.api.scripted import Asked, Reply
from tests.engine.test_capped_resume import attempt_until_done, read_lines

TEXT = """
request: {path: /items}
records: items
primary_key: id
paginate: {type: keyset, key: id, param: after, size: 2}
"""


def refuse_once(cut: str | None, answer: Callable[[str], Any]) -> Callable[[Asked], Any]:
    """A route that refuses the first request after ``cut``; ``answer`` gets the value of ``after``."""
    refused = list[str]()

    def route(request: Asked) -> Any:
        after = request.query.get("after", "0")
        if after == cut and after not in refused:
            refused.append(after)
            return Reply({}, 503)
        return answer(after)

    return route


@pytest.mark.parametrize("cut", [None, "2", "4"])
def test_keys_that_the_api_compares_as_texts_lose_no_record_in_silence(
    cut: str | None, tmp_path: Path
) -> None:
    """``"10" > "4"`` is false for texts: the third page is empty, and by its own account nothing is left."""

    def answer(after: str) -> Any:
        found = [number for number in (1, 2, 3, 4, 10, 11) if str(number) > after and number < 10]
        return {"items": [{"id": number} for number in found[:2]], "total": 6, "limit": 2}

    summary = attempt_until_done(TEXT, refuse_once(cut, answer), tmp_path)
    assert len(read_lines(summary)) == 4
    assert summary.warnings == [
        "Reading ends after 4 records, and the API announced 6 records (total) at GET https://api.example.com/items?after=4. If it is "
        "right and none were deleted meanwhile, records are missing from this output: correct paginate, and write total there.",
    ]


LOST = """
request: {path: /items}
records: items
paginate: {type: cursor, next: next, param: after}
"""


@pytest.mark.parametrize("cut", [None, "10", "20"])
def test_a_lost_cursor_is_a_warning_also_where_an_earlier_attempt_read_the_first_total(
    cut: str | None, tmp_path: Path
) -> None:
    def answer(after: str) -> Any:
        start = int(after)
        body = {"items": [{"id": start + number} for number in range(10)], "totalCount": 47}
        return body if after == "20" else {**body, "next": str(start + 10)}

    summary = attempt_until_done(LOST, refuse_once(cut, answer), tmp_path)
    assert len(read_lines(summary)) == 30
    (warning,) = summary.warnings
    assert "ends after 30 records, and the API announced 47 records (totalCount)" in warning
