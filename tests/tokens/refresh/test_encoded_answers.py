"""Answers in another encoding than UTF-8, packed, or wrapped in a page: the refresh token in them is used."""

from __future__ import annotations

import gzip
import json
import logging
from typing import Any

import pytest

from oauth_taskflow.errors import InvalidTokenResponse
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.dialect import Dialect, ResponseDialect
from oauth_taskflow.oauth.endpoint.response_text import decode
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import RefreshToken
from oauth_taskflow.tokens.manager import TokenManager
from tests.oauth.raw_server import http_answer
from tests.tokens.clocked_store import ClockedStore
from tests.tokens.rotating import Form, Rotating, plain, rotating

LIFETIME = 3600


def manager(store: ClockedStore, server: Rotating, **response: Any) -> TokenManager:
    """A worker with a connection that reads answers as ``response`` says."""
    client, clock = Client("me", "client-secret"), store._clock
    dialect = Dialect(response=ResponseDialect(**response))
    endpoint = TokenEndpoint(server.url, client, conn_id="crm", dialect=dialect, clock=clock)
    return TokenManager.for_grant(store, endpoint, RefreshToken("seed-token"), clock=clock)


def body(access_token: str, refresh_token: str) -> str:
    fields = {"access_token": access_token, "refresh_token": refresh_token, "note": "für 5 Ł"}
    return json.dumps({**fields, "expires_in": LIFETIME}, ensure_ascii=False)


def encoded(encoding: str, kind: str = "application/json") -> Form:
    return lambda at, rt: http_answer(200, body(at, rt).encode(encoding), kind=kind)


def packed(kind: str = "application/json") -> Form:
    return lambda at, rt: http_answer(200, gzip.compress(body(at, rt).encode()), kind=kind)


def declared(kind: str, times: int) -> Form:
    """An answer that says it is packed as ``kind``, and is packed by gzip so many ``times``."""

    def form(access_token: str, refresh_token: str) -> bytes:
        raw = body(access_token, refresh_token).encode()
        for _ in range(times):
            raw = gzip.compress(raw)
        return http_answer(200, raw, f"Content-Encoding: {kind}")

    return form


READ: dict[str, Form] = {
    "UTF-8 with a byte order mark": encoded("utf-8-sig"),
    "UTF-16 with a byte order mark": encoded("utf-16"),
    "UTF-16 little-endian": encoded("utf-16-le", "application/json; charset=utf-16"),
    "UTF-16 big-endian": encoded("utf-16-be", ""),
    "UTF-16 that is called UTF-8": encoded("utf-16-le", "application/json; charset=utf-8"),
    "UTF-32": encoded("utf-32"),
    "UTF-32 big-endian": encoded("utf-32-be"),
    "Latin 2": encoded("iso-8859-2", 'application/json; charset="ISO-8859-2"'),
    "an unknown charset": encoded("iso-8859-2", "application/json; charset=x-own"),
    "UTF-8 that is called UTF-7": encoded("utf-8", "application/json; charset=utf-7"),
    "gzip": packed(),
    "gzip that is called text": packed("text/plain"),
    "gzip that is declared": declared("gzip", 1),
    "gzip in gzip": declared("gzip", 2),
    "no gzip that is called gzip": declared("gzip", 0),
    "no deflate that is called deflate": declared("deflate", 0),
}


@pytest.mark.parametrize("case", READ)
def test_an_answer_is_read_however_it_is_encoded(store: ClockedStore, case: str) -> None:
    with rotating(READ[case]) as server:
        for number in range(1, 4):
            assert manager(store, server).token().access_token == f"access-token-number-{number}"
            store._clock.sleep(LIFETIME + 1)
        assert not server.revoked
    assert len(server.sent) == len(set(server.sent)) == 3


WRAPPED: dict[str, Form] = {
    "a page around it": lambda at, rt: http_answer(
        200, f'<!DOCTYPE html><body><p>5" screens</p>{body(at, rt)}</body>'.encode()
    ),
    "a banner before it": lambda at, rt: http_answer(
        200, f"<html><style>p {{color: red}}</style></html>{body(at, rt)}".encode()
    ),
    "a warning of PHP": lambda at, rt: http_answer(
        200, f"<br />\n<b>Warning</b>: in x.php on line <b>3</b>\n{body(at, rt)}".encode()
    ),
    "a page in UTF-16": lambda at, rt: http_answer(
        200, f"<html><pre>{body(at, rt)}</pre></html>".encode("utf-16")
    ),
}


@pytest.mark.parametrize("case", WRAPPED)
def test_the_refresh_token_of_a_wrapped_answer_is_used(store: ClockedStore, case: str) -> None:
    with rotating(WRAPPED[case]) as server:
        with pytest.raises(InvalidTokenResponse, match="no new login is needed") as raised:
            manager(store, server).token()
        assert "-number-1" not in str(raised.value)
        assert "writes answers that are not JSON: look at their logs" in str(raised.value)
        server.form = plain
        store._clock.sleep(61)
        assert manager(store, server).token().access_token == "access-token-number-2"
        assert not server.revoked
    assert server.sent == ["seed-token", "refresh-token-number-1"]


HALF: dict[str, Form] = {
    "half of it in UTF-16": lambda at, rt: http_answer(200, body(at, rt).encode("utf-16")[:-25]),
    "half of it in gzip": lambda at, rt: http_answer(
        200, gzip.compress(body(at, rt).encode(), compresslevel=0)[:-30]
    ),
}


@pytest.mark.parametrize("case", HALF)
def test_the_refresh_token_of_half_an_answer_is_used(store: ClockedStore, case: str) -> None:
    def once(access_token: str, refresh_token: str) -> bytes:
        server.form = plain
        return HALF[case](access_token, refresh_token)

    with rotating(once) as server:
        assert manager(store, server).token().access_token == "access-token-number-2"
        assert not server.revoked
    assert server.sent == ["seed-token", "refresh-token-number-1"]


def test_a_page_with_a_short_token_does_not_show_it(store: ClockedStore) -> None:
    page = b'<html><p>{"access_token": "s3cret", "refresh_token": "s3cret-2"}</p></html>'
    with (
        rotating(lambda _at, _rt: http_answer(200, page, kind="text/html")) as server,
        pytest.raises(InvalidTokenResponse, match="a web page with JSON in it") as raised,
    ):
        manager(store, server).token()
    assert "s3cret" not in str(raised.value) + repr(raised.value)


def answer(text: str) -> Form:
    """An answer with ``text``, in which AT and RT stand for the tokens."""
    return lambda at, rt: http_answer(200, text.replace("AT", at).replace("RT", rt).encode())


# The answer, and the paths of the connection that reads it.
TWO: dict[str, tuple[str, dict[str, str]]] = {
    "twice in an object, the last is right": (
        '{"access_token": "AT", "refresh_token": "RT-x", "refresh_token": "RT"}',
        {},
    ),
    "twice in an object, the first is right": (
        '{"access_token": "AT", "refresh_token": "RT", "refresh_token": "RT-x"}',
        {},
    ),
    "next to the access token": (
        '{"refresh_token": "RT-x", "data": {"access_token": "AT", "refresh_token": "RT"}}',
        {"access_token": "data.access_token", "refresh_token": "data.refresh"},
    ),
    "at two places that are not the connection's": (
        '{"access_token": "AT", "a": {"refresh_token": "RT-x"}, "b": {"refresh_token": "RT"}}',
        {"refresh_token": "c.refresh_token"},
    ),
}


@pytest.mark.parametrize("case", TWO)
def test_of_two_refresh_tokens_in_an_answer_both_are_kept(
    store: ClockedStore, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    text, paths = TWO[case]
    caplog.set_level(logging.WARNING, "oauth_taskflow.tokens")
    with rotating(answer(text)) as server:
        under_test = manager(store, server, **paths)
        for _ in range(3):
            under_test.renew(under_test.token().access_token)
        assert not server.revoked
    is_certain = "next to" in case
    assert ("the answer holds refresh tokens that differ" in caplog.text) != is_certain
    assert "-number-" not in caplog.text


def test_without_an_access_token_two_refresh_tokens_wait_for_the_right_path(
    store: ClockedStore,
) -> None:
    text = '{"a": {"token": "AT", "refresh_token": "RT"}, "b": {"refresh_token": "RT-x"}}'
    with rotating(answer(text)) as server:
        for _ in range(2):
            with pytest.raises(InvalidTokenResponse, match="until the connection is corrected"):
                manager(store, server).token()
            store._clock.sleep(4000)
        right = {"access_token": "a.token", "refresh_token": "a.refresh_token"}
        assert manager(store, server, **right).token().access_token == "access-token-number-1"
        assert manager(store, server).stored.read().refresh_token == "refresh-token-number-1"
    assert server.sent == ["seed-token"]


@pytest.mark.parametrize(
    ("raw", "content_type", "text"),
    [
        (b'\0{"a": 1}', "", '{"a": 1}'),
        (b"f\xfcr", "text/plain; charset=windows-1252", "für"),
        (b"f\xfcr", "", "f\ufffdr"),
        (b"f+APw-r", "text/plain; charset=utf-7", "f+APw-r"),
        (b"caf\xe9 +AGE-", "text/plain; charset=utf-7", "caf\ufffd +AGE-"),
        (gzip.compress(b"x" * 5_000_000)[:3000], "", "x" * 1_000),
        (b"\x1f\x8b\x08 no gzip", "", ""),
        (b"", "", ""),
    ],
)
def test_bytes_become_text(raw: bytes, content_type: str, text: str) -> None:
    read = decode(raw, content_type)
    assert read[:1_000] == text
    assert len(read) < (3 << 20)
