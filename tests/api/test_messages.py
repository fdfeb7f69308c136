"""The messages that people read when an API answers badly: asserted whole, each provoked on the wire."""

from __future__ import annotations

import io
import logging
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rich.console import Console

from oauth_taskflow.api.errors import ApiStatusError, ApiTimeout
from oauth_taskflow.api.pull.keys.dedupe import Deduplicator
from oauth_taskflow.api.pull.loop import pull
from oauth_taskflow.api.pull.missing_fields import missing_field_error
from oauth_taskflow.api.pull.watermark import Watermark
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.api.retry import RetryPolicy
from oauth_taskflow.destinations.base import Run
from oauth_taskflow.destinations.files import FolderDestination
from oauth_taskflow.destinations.transfer import transfer
from oauth_taskflow.engine.stages import DedupeStage, WatermarkStage
from oauth_taskflow.errors import ApiRequestFailed, ForeignOriginRefused, InvalidRecord
from tests.api.conftest import Connect, Serve
from tests.api.scripted import Reply
from tests.api.test_session import in_turn

EVIL = "\x1b]0;owned\x07\x1b[2J\x1b[31mall is well\u202e\x9b1A"


def test_a_failing_api_is_named_with_the_number_of_tries_and_what_to_do(
    serve: Serve, connect: Connect
) -> None:
    api = serve(in_turn(Reply({"error": "boom"}, status=500)))
    session = connect(api, retry=RetryPolicy(attempts=3))
    with pytest.raises(ApiStatusError) as caught:
        session.get("/contacts").raise_for_status()
    assert str(caught.value) == (
        'The API answered HTTP 500 Internal Server Error: {"error": "boom"} at GET '
        f"{api.url}/contacts (tried 3 times). The API failed by itself: run the task again later, and look at its "
        "status page. If one request alone fails, show this message to those who run the API."
    )
    assert len(api.asked) == 3


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (400, "Compare parameters, headers and body of the request with the API's documentation."),
        (405, "Check the method of the request against the API's documentation."),
        (406, "Check the Accept header of the request, and api_headers of the connection."),
        (410, "What was here is gone: check path and version against the API's documentation."),
        (415, "Check the Content-Type header and the body of the request."),
        (418, "Look this status up in the API's documentation."),
        (422, "Compare parameters and body of the request with the API's documentation."),
    ],
)
def test_every_error_status_comes_with_advice(
    serve: Serve, connect: Connect, status: int, hint: str
) -> None:
    api = serve(in_turn(Reply({}, status=status)))
    with pytest.raises(ApiStatusError) as caught:
        connect(api).get("/x").raise_for_status()
    assert str(caught.value).endswith(f" at GET {api.url}/x. {hint}")


def test_a_silent_api_is_named_with_the_number_of_tries(serve: Serve, connect: Connect) -> None:
    api = serve(in_turn(Reply(silent=True)))
    session = connect(api, retry=RetryPolicy(attempts=2))
    with pytest.raises(ApiTimeout) as caught:
        session.get("/x", timeout=(5, 0.2))
    assert str(caught.value) == (
        f"The API did not answer in time at GET {api.url}/x (tried 2 times). Raise timeout of the connection (seconds to "
        "connect, to read), or ask for smaller pages."
    )


@pytest.mark.parametrize(
    "reply",
    [
        Reply({"error": EVIL}, status=400),
        Reply(EVIL.encode(), status=400, headers={"Content-Type": "text/plain"}),
        Reply({}, 401, headers={"WWW-Authenticate": 'Bearer error="a\x1b[31m", scope="\x1b[2J"'}),
        Reply(b"x", headers={"Content-Type": "text/\x1b[31mred"}),
    ],
    ids=["json", "text", "challenge", "no json"],
)
def test_escape_codes_of_an_api_reach_neither_terminal_nor_log(
    serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture, reply: Reply
) -> None:
    api, terminal = serve(in_turn(reply)), io.StringIO()
    with caplog.at_level(logging.DEBUG):
        response = connect(api).get("/x")
    with pytest.raises((ApiRequestFailed, InvalidRecord)) as caught:
        response.raise_for_status() if response.status_code >= 400 else response.json()
    Console(file=terminal, width=1000, no_color=True).print(str(caught.value), markup=False)
    assert terminal.getvalue().rstrip("\n").isprintable()
    ours = [entry for entry in caplog.records if entry.name.startswith("oauth_taskflow")]
    assert all(entry.getMessage().isprintable() for entry in ours)


def test_a_next_link_with_escape_codes_is_refused_without_them(
    serve: Serve, connect: Connect
) -> None:
    api = serve(in_turn(Reply({}, 302, headers={"Location": "http://evil.example/\x1b[31m"})))
    with pytest.raises(ForeignOriginRefused) as caught:
        connect(api).get("/x")
    assert str(caught.value).isprintable()


def _transfer(api_url: str, session: Any, folder: Path, **options: Any) -> None:
    pages = pull(session, ApiRequest("/items", params={"key": "k-e-y"}))
    transfer(pages, FolderDestination(folder, "jsonl"), Run("items"), **options)


def test_a_missing_incremental_field_is_named_with_the_nearest_and_the_address(
    serve: Serve, connect: Connect, tmp_path: Path
) -> None:
    api = serve(in_turn([{"id": 1, "updated_at": "2026-01-01", "name": "Ada Lovelace"}]))
    with pytest.raises(InvalidRecord) as caught:
        _transfer(api.url, connect(api), tmp_path, stages=[WatermarkStage(Watermark("updatedAt"))])
    assert str(caught.value) == (
        "A record has no field 'updatedAt', which incremental.field names: its fields are id, updated_at, name at "
        f"{api.url}/items?key=***. Did you mean 'updated_at'? Correct incremental.field, or set incremental.missing: "
        "include."
    )


def test_a_missing_primary_key_is_named_the_same_way(
    serve: Serve, connect: Connect, tmp_path: Path
) -> None:
    api = serve(in_turn([{"id": None, "name": "Ada"}]))
    with pytest.raises(InvalidRecord) as caught:
        _transfer(api.url, connect(api), tmp_path, stages=[DedupeStage(Deduplicator(["id"]))])
    assert str(caught.value) == (
        f"The field 'id', which primary_key names, is null in a record at {api.url}/items?key=***. Correct primary_key, "
        "or leave it out when the API promises no key."
    )


def test_names_of_fields_are_shown_within_bounds_and_values_never() -> None:
    wide = {f"field{n:02}": "hush" for n in range(30)} | {"x" * 90: "hush"}
    for record in (wide, msgspec.Raw(msgspec.json.encode(wide))):
        text = str(missing_field_error(record, "at", "incremental.field", ""))
        assert "field00, field01" in text
        assert "field19 and 11 more" in text
        assert "hush" not in text
    assert "single value" in str(missing_field_error(7, "at", "primary_key", ""))
