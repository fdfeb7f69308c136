"""Contract and checks of a pull that is cut off anywhere count what those of an uncut pull count."""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.contracts.check_options import Checks, CheckSet
from oauth_taskflow.contracts.options import Contract, GivenSchema
from oauth_taskflow.errors import ApiRequestFailed
from tests.api.scripted import Asked, Reply
from tests.engine.cut_off import PagedApi, build_endpoint, pull, read_output
from tests.support.examples import examples

OPTIONS: dict[str, Any] = {
    "primary_key": None,
    "contract": Contract(
        columns="discard_value",
        types="evolve",
        schema=GivenSchema(fields={"id": "text", "at": "timestamp", "size?": "integer"}),
    ),
    "checks": Checks(
        warn=CheckSet(unique=["id"], not_null=["size"], accepted_values={"size": [1, 2]})
    ),
}


class OddApi(PagedApi):
    """Rows with sizes of several types, and a field that no schema has."""

    def answer(self, asked: Asked, place: str, at: int, pages: int) -> Reply:
        reply = super().answer(asked, place, at, pages)
        body = json.loads(reply.body)
        for number, row in enumerate(body["items"], 2 * at):
            row |= {
                "extra": number,
                **({"size": [1, 2.5, "x", 4][number % 4]} if number % 3 else {}),
            }
        return Reply(json.dumps(body).encode(), headers=reply.headers)


def run(cuts: set[int]) -> Any:
    api = OddApi("page", {"ann": 3, "bob": 2}, cuts)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        endpoint = build_endpoint(folder, "page", **OPTIONS)
        for _ in range(len(cuts)):
            with suppress(ApiRequestFailed):
                return read_output(pull(folder, api, endpoint, ["ann", "bob"]))
        return read_output(pull(folder, api, endpoint, ["ann", "bob"]))


@pytest.mark.no_cover
@pytest.mark.slow
@examples(0.5)
@given(st.sets(st.integers(0, 8), max_size=4))
def test_wherever_it_is_cut_off_schema_and_checks_are_those_of_an_uncut_run(cuts: set[int]) -> None:
    manifest, files = run(cuts)
    assert (manifest, files) == run(set())
    assert manifest["schema"]["properties"]["size"] == {}
    assert manifest["discarded"] == {"extra": 10}
    assert [text.partition(":")[0] for text in manifest["warnings"]] == [
        "contract",
        "checks.warn.not_null",
        "checks.warn.unique",
        "checks.warn.accepted_values",
    ]
