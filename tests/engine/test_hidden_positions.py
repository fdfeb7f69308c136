"""The progress of a run does not show what ``fields.hash`` hides."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.api.options import CursorPaginator, KeysetPaginator, Paginate
from oauth_taskflow.engine import progress
from oauth_taskflow.engine.progress import RunState, Seal
from oauth_taskflow.errors import ApiRequestFailed
from oauth_taskflow.fields.options import Fields
from tests.api.scripted import Asked, Reply
from tests.engine.cut_off import SEAL, build_endpoint, pull

ADA, BOB = "ada@example.com", "bob@example.com"


@pytest.mark.parametrize("seal", [None, SEAL])
@pytest.mark.parametrize(
    "paginate",
    [
        KeysetPaginator(key="email", param="after"),
        CursorPaginator(last_record="email", param="after"),
    ],
)
def test_a_position_by_a_hashed_field_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seal: Seal | None, paginate: Paginate
) -> None:
    kept: list[RunState] = []
    close = progress._close_request

    def note(state: RunState, by: Seal | None) -> RunState:
        kept.append(close(state, by))
        return kept[-1]

    monkeypatch.setattr(progress, "_close_request", note)
    cuts = [True]

    def route(asked: Asked) -> Any:
        after = asked.query.get("after", "")
        if after == ADA and cuts:
            cuts.clear()
            return Reply({}, 503)
        return {"items": [{"id": one, "email": one} for one in (ADA, BOB) if one > after][:1]}

    fields = Fields(hash=["email", "id"])
    endpoint = build_endpoint(tmp_path, "keyset", paginate=paginate, fields=fields)
    for _ in range(2):
        with suppress(ApiRequestFailed):
            summary = pull(tmp_path, route, endpoint, ["ann"], hash_key="k" * 16)
    assert summary.rows == 2
    assert kept
    assert not any(ADA in repr(state) for state in kept)
