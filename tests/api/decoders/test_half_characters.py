"""Texts that an API cut within a character: half a surrogate pair, which no file in UTF-8 can hold."""

from __future__ import annotations

import pytest

from oauth_taskflow.api.options import Records
from oauth_taskflow.api.pull.loop import pull
from oauth_taskflow.api.request import ApiRequest
from oauth_taskflow.errors import InvalidRecord
from tests.api.conftest import Connect
from tests.api.scripted import Reply

ITEMS = Records(path="items")
HALVES = {
    rb"\ud83d": "\ufffd",
    rb"a\udE00": "a\ufffd",
    rb"\ud83d\ud83d\ude00": "\ufffd\U0001f600",
    rb"\ud83d\u0041": "\ufffdA",
    rb"\\ud83d\ud83d": "\\ud83d\ufffd",
    rb"\\\ud83d\n": "\\\ufffd\n",
}


@pytest.mark.parametrize("path", ["items", "items[]"])
@pytest.mark.parametrize("half", HALVES)
def test_halves_of_characters_are_written_as_replacements(
    local: Connect, half: bytes, path: str
) -> None:
    warned = list[str]()
    session = local(lambda _: Reply(b'{"items": [{"id": "%s"}]}' % half))
    pages = pull(
        session, ApiRequest("/x"), records=Records(path=path), decode=True, warn=warned.append
    )
    assert [record["id"] for page in pages for record in page.records] == [HALVES[half]]
    (warning,) = warned
    assert "Page 1 has texts that end within a character; U+FFFD is written there" in warning


@pytest.mark.parametrize("text", [rb"\ud83d\ude00", rb"\\ud83d", rb"\u00e9\/"])
def test_whole_characters_stay_as_they_are(local: Connect, text: bytes) -> None:
    warned = list[str]()
    session = local(lambda _: Reply(b'{"items": [{"id": "%s"}]}' % text))
    (page,) = pull(session, ApiRequest("/rows"), records=ITEMS, warn=warned.append)
    assert [bytes(record) for record in page.records] == [b'{"id": "%s"}' % text]
    assert warned == []


def test_half_a_character_hides_no_other_mistake(local: Connect) -> None:
    session = local(lambda _: Reply(rb'{"items": [{"id": "\ud83d"}, NaN]}'))
    with pytest.raises(InvalidRecord, match="NaN"):
        list(pull(session, ApiRequest("/x"), records=ITEMS))
