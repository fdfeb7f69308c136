"""A pull of the newest first that is cut off ends where an uncut one ends: the order of the pages before is remembered."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.engine.window_filter import OlderPages
from oauth_taskflow.specs.windows import Incremental, Window
from tests.api.scripted import Asked, Reply
from tests.engine.test_capped_resume import attempt_until_done, read_lines

# Minutes after the window's begin. The third page is in order by itself; only the page before shows that its order is broken.
FEED = [[90, 80, 70], [60, 50, 40], [65, -5, -6], [30, 20, 10], [-7, -8, -9], [-10, -11, -12]]
TEXT = """
request: {path: /feed}
records: items
primary_key: id
paginate: {type: page}
incremental: {field: t, start: '2026-01-01', keep: window, order: newest_first}
FIELDS
"""


@pytest.mark.parametrize("fields", ["", "fields: {move: {at: t}}"])
@pytest.mark.parametrize("cut", range(5))
def test_an_attempt_that_goes_on_knows_the_order_of_the_pages_before(
    cut: int, fields: str, tmp_path: Path
) -> None:
    asked: list[int] = []
    name = "at" if fields else "t"

    def route(request: Asked) -> Any:
        number = int(request.query.get("page", 1)) - 1
        asked.append(number)
        if asked.count(cut) == 1 and number == cut:
            return Reply({}, 503)
        rows = FEED[number] if number < len(FEED) else []
        return {"items": [{"id": at, name: 1767225600 + 60 * at} for at in rows]}

    summary = attempt_until_done(TEXT.replace("FIELDS", fields), route, tmp_path)
    assert len(read_lines(summary)) == sum(at >= 0 for page in FEED for at in page)
    assert asked == [*range(cut + 1), *range(cut, 5)]
    assert summary.pages == 5


@pytest.mark.parametrize("at", range(1, 4))
def test_the_order_of_the_pages_before_is_remembered_by_the_next_attempt(at: int) -> None:
    times = [1003, 1002, 1001, 1005, 999, 998, 1000, 997, 996, 995, 994, 993]
    options = Incremental(field="t", keep="window", order="newest_first", field_format="epoch")
    bounds = (
        datetime.fromtimestamp(1000, timezone.utc),
        datetime.fromtimestamp(10**9, timezone.utc),
    )
    window = Window(*bounds, "", "")
    pages = [[{"t": time} for time in times[number : number + 3]] for number in range(0, 12, 3)]
    uncut = OlderPages(options, window)
    ends = [uncut(page) for page in pages]
    first, second = OlderPages(options, window), OlderPages(options, window)
    found = [first(page) for page in pages[:at]]
    second.restore(json.loads(json.dumps(first.save())))
    assert found + [second(page) for page in pages[at:]] == ends
    assert ends == [False, False, False, True]
