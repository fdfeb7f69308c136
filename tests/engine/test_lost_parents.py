"""Parent records that are deleted between their listing and the request for their children."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.api.errors import ApiStatusError
from oauth_taskflow.engine.for_each import Slice
from oauth_taskflow.specs.windows import Interval
from tests.api.scripted import Asked, Reply
from tests.engine.yaml_run import Pulled, pull_yaml, utc

CHILD = """
for_each: {account: [a, b]}
request: {path: "/accounts/{{ account }}/contacts"}
records: data
paginate: {type: page}
"""
HINT = (
    " If some values of for_each lead nowhere by right, such as a parent record that was deleted after it was listed, write responses: "
    "[{status: %d, action: skip}]."
)


def pull(folder: Path, status: int, failing: str, more: str = "") -> Pulled:
    def route(asked: Asked) -> Any:
        if asked.query["page"] == failing:
            return Reply({"message": "gone"}, status=status)
        return {"data": [{"id": asked.query["page"]}] if asked.query["page"] < "3" else []}

    item = {"account": Slice(value="b")}
    return pull_yaml(CHILD + more, Interval(None, utc(2026, 1, 1)), route, folder, item=item)


@pytest.mark.parametrize("status", [404, 410])
def test_the_error_names_the_rule_that_leaves_a_deleted_parent_out(
    tmp_path: Path, status: int
) -> None:
    with pytest.raises(ApiStatusError) as caught:
        pull(tmp_path / "a", status, failing="1")
    assert str(caught.value).endswith(HINT % status)
    pulled = pull(tmp_path / "b", status, "1", f"responses: [{{status: {status}, action: skip}}]\n")
    assert pulled.ids == []


@pytest.mark.parametrize(("status", "failing"), [(404, "2"), (403, "1")])
def test_other_errors_say_what_they_said(tmp_path: Path, status: int, failing: str) -> None:
    with pytest.raises(ApiStatusError) as caught:
        pull(tmp_path, status, failing)
    assert "for_each" not in str(caught.value)
