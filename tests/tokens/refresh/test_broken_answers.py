"""A refresh token that arrived whole in an answer that did not: it is used, and the one before is not sent again."""

from __future__ import annotations

import json
import time

import pytest

from oauth_taskflow.errors import (
    InvalidTokenResponse,
    RefreshResponseLost,
    TokenEndpointUnavailable,
)
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.dialect import STANDARD, ResponseDialect
from oauth_taskflow.oauth.endpoint.response_fields import refresh_tokens_in_text
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import RefreshToken
from oauth_taskflow.tokens.manager import TokenManager
from oauth_taskflow.tokens.state.record import GrantState
from tests.oauth.raw_server import http_answer
from tests.tokens.clocked_store import ClockedStore
from tests.tokens.rotating import Form, Rotating, plain, rotating


def manager(store: ClockedStore, server: Rotating) -> TokenManager:
    """A worker."""
    client, clock = Client("me", "client-secret"), store._clock
    endpoint = TokenEndpoint(server.url, client, conn_id="crm", clock=clock)
    return TokenManager.for_grant(store, endpoint, RefreshToken("seed-token"), clock=clock)


def body(access_token: str, refresh_token: str) -> bytes:
    """An answer whose refresh token comes first."""
    fields = {"refresh_token": refresh_token, "token_type": "Bearer", "access_token": access_token}
    return json.dumps(fields).encode()


def cut_answer(missing: int) -> Form:
    """The connection ends ``missing`` bytes before the end."""
    return lambda at, rt: http_answer(200, body(at, rt))[:-missing]


def chunks(access_token: str, refresh_token: str) -> bytes:
    """The connection ends within a chunk."""
    head = b"HTTP/1.1 200 X\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    whole = body(access_token, refresh_token)
    return head + b"%x\r\n" % len(whole) + whole[:-5]


def promising(access_token: str, refresh_token: str) -> bytes:
    """More is announced than comes, which is whole."""
    length = f"{len(body(access_token, refresh_token)) + 2}".encode()
    answer = http_answer(200, body(access_token, refresh_token))
    head, _, rest = answer.partition(b"\r\n\r\n")
    lines = [one for one in head.split(b"\r\n") if not one.lower().startswith(b"content-length")]
    return b"\r\n".join([*lines, b"Content-Length: " + length, b"", rest])


CUT: dict[str, Form] = {
    "the connection ends within the access token": cut_answer(5),
    "the connection ends after the refresh token": cut_answer(50),
    "the connection ends within a chunk": chunks,
    "a proxy cut the body": lambda at, rt: http_answer(200, body(at, rt)[:-5]),
}
BROKEN: dict[str, Form] = {
    "a list": lambda at, rt: http_answer(200, b"[" + body(at, rt) + b"]"),
    "a guard against scripts": lambda at, rt: http_answer(200, b")]}',\n" + body(at, rt)),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_refresh_token_that_arrived_whole_is_used(store: ClockedStore, case: str) -> None:
    with rotating(BROKEN[case]) as server:
        for number in range(1, 4):
            with pytest.raises(InvalidTokenResponse, match="no new login is needed"):
                manager(store, server).token()
            with pytest.raises(InvalidTokenResponse, match="no new login is needed"):
                manager(store, server).token()
            assert len(server.sent) == number  # the second worker knows
            store._clock.sleep(301)
        server.form = plain
        assert manager(store, server).token().access_token == "access-token-number-4"
        assert not server.revoked
    assert len(server.sent) == len(set(server.sent)) == 4


@pytest.mark.parametrize("case", CUT)
def test_an_answer_that_breaks_off_once_fails_no_caller(store: ClockedStore, case: str) -> None:
    def once(access_token: str, refresh_token: str) -> bytes:
        server.form = plain
        return CUT[case](access_token, refresh_token)

    with rotating(once) as server:
        for expected in ("access-token-number-2", "access-token-number-4"):
            assert manager(store, server).token().access_token == expected
            store._clock.sleep(3601)
            server.form = once
        assert not server.revoked
    assert server.sent == ["seed-token", *(f"refresh-token-number-{one}" for one in range(1, 4))]


@pytest.mark.parametrize("case", CUT)
def test_answers_that_keep_breaking_off_are_asked_for_ever_more_rarely(
    store: ClockedStore, case: str
) -> None:
    with rotating(CUT[case]) as server:
        for number in range(2, 6):
            for _ in range(2):  # the second worker finds the failure in the store
                with pytest.raises(TokenEndpointUnavailable, match="no new login") as raised:
                    manager(store, server).token()
                assert "The answer breaks off (HTTP 200, " in str(raised.value)
                assert "-number-" not in str(raised.value)
                assert manager(store, server).stored.read().state is GrantState.ACTIVE
            assert len(server.sent) == number
            store._clock.sleep(2.0 * 2**number)
        server.form = plain
        assert manager(store, server).token().access_token == "access-token-number-6"
        assert not server.revoked
    assert len(server.sent) == len(set(server.sent))


def test_an_answer_that_is_whole_is_used_although_more_was_announced(store: ClockedStore) -> None:
    with rotating(promising) as server:
        assert manager(store, server).token().access_token == "access-token-number-1"
    assert server.sent == ["seed-token"]


def doubled(between: bytes = b"", behind: bytes = b"") -> Form:
    """The whole answer twice."""
    return lambda at, rt: http_answer(200, body(at, rt) + between + body(at, rt) + behind)


WHOLE: dict[str, Form] = {
    "twice": doubled(),
    "twice, on two lines": doubled(b"\r\n"),
    "thrice": lambda at, rt: http_answer(200, body(at, rt) * 3),
    "zeros behind it": doubled(behind=b"\n\0\0"),
    "a tab in a text": lambda at, rt: http_answer(
        200, body(at, rt)[:-1] + b', "description": "of\tCRM"}'
    ),
}


@pytest.mark.parametrize("case", WHOLE)
def test_an_answer_that_says_one_thing_is_used(store: ClockedStore, case: str) -> None:
    with rotating(WHOLE[case]) as server:
        assert manager(store, server).token().access_token == "access-token-number-1"
        assert manager(store, server).stored.read().refresh_token == "refresh-token-number-1"
    assert server.sent == ["seed-token"]


# What came, and how the error names it. The refresh token is whole in all of them.
NAMED: dict[str, tuple[Form, str]] = {
    "something else behind it": (
        lambda at, rt: http_answer(200, body(at, rt) + b"<!-- 2 ms -->"),
        "a JSON object, and 13 bytes behind it that do not repeat it",
    ),
    "half of it again": (
        lambda at, rt: http_answer(200, body(at, rt) + b'{"refresh_'),
        "a JSON object, and 10 bytes behind it that do not repeat it",
    ),
}


@pytest.mark.parametrize("case", NAMED)
def test_a_broken_answer_is_named_with_the_moment_of_the_next_request(
    store: ClockedStore, case: str
) -> None:
    form, words = NAMED[case]
    with rotating(form) as server:
        for wait, moment in ((0, "08:01:00Z"), (61, "08:03:01Z")):  # the second pause is longer
            store._clock.sleep(wait)
            for _ in range(2):  # the second worker finds the failure in the store
                with pytest.raises(InvalidTokenResponse) as raised:
                    manager(store, server).token()
                assert words in str(raised.value)
                assert "writes answers that are not JSON: look at their logs" in str(raised.value)
                assert f"No worker asks again before 2027-01-15T{moment}." in str(raised.value)
    assert len(server.sent) == 2


@pytest.mark.parametrize("between", [b"", b"\n", b"}"])
@pytest.mark.parametrize("right", ["refresh-token-number-1", "refresh-token-number-1-b"])
def test_two_answers_that_differ_leave_two_refresh_tokens_to_try(
    store: ClockedStore, between: bytes, right: str
) -> None:
    def form(access_token: str, refresh_token: str) -> bytes:
        server.current, server.form = right, plain
        answers = (body(access_token, refresh_token), body(access_token, refresh_token + "-b"))
        return http_answer(200, between.join(answers))

    with rotating(form) as server:
        with pytest.raises(InvalidTokenResponse, match="tried one after the other") as one:
            manager(store, server).token()
        assert "-number-1" not in str(one.value)
        store._clock.sleep(61)
        assert manager(store, server).token().access_token.startswith("access-token")
        assert not server.revoked
    assert len(server.sent) == len(set(server.sent)) <= 3


# The same half of an answer: the connection ends there, or what sent it announced no more.
HALF: dict[str, Form] = {
    "the connection ends": lambda at, rt: http_answer(200, body(at, rt))[:-90],
    "the length is that of the half": lambda at, rt: http_answer(200, body(at, rt)[:-90]),
    "the access token came whole": lambda at, rt: http_answer(
        200, json.dumps({"access_token": at * 2, "refresh_token": rt}).encode()[:-5]
    ),
}


@pytest.mark.parametrize("case", HALF)
def test_a_truncated_refresh_token_is_not_used(store: ClockedStore, case: str) -> None:
    with rotating(HALF[case]) as server, pytest.raises(RefreshResponseLost):
        manager(store, server).token()
    assert server.sent == ["seed-token"] * 2  # lost answers are asked for once more


@pytest.mark.parametrize("case", HALF)
def test_a_truncated_answer_of_a_server_that_did_not_rotate_costs_nothing(
    store: ClockedStore, case: str
) -> None:
    def answer(access_token: str, refresh_token: str) -> bytes:
        server.current, server.form = "seed-token", plain
        return HALF[case](access_token, refresh_token)

    with rotating(answer) as server:
        assert manager(store, server).token().access_token == "access-token-number-2"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"refreshToken" : "a\\/b", "x"', ["a/b"]),
        ('{"refresh_token": "one", "old": {"refresh_token": "two"}', ["one"]),
        ('{"x": {"refresh_token": "one"}, "y": [{"refresh_token": "two"}', ["two", "one"]),
        ('{"refresh_token": "one", "again": {"refresh_token": "one"}', ["one"]),
        ('{"refresh_token": "two\\nlines", ', ["two\nlines"]),
        ('{"refresh_token": "half a character \\ud800", ', []),
        ('{"refresh_token": "bad \\x escape", ', []),
        ('{"refresh_token_expires_in": "3600", ', []),
        ('{"refresh_token": "half', []),
        ('<html><body>{"refresh_token": "example"}</body></html>', []),
        ('<html>{"access_token": "a", "refresh_token": "one"}</html>', ["one"]),
        ('<html>body{x}{"access_token": "a", "refresh_token": "one"', ["one"]),
        ('{"error": "invalid_scope", "refresh_token": "echoed", ', []),
        ('<html>{"error": "x", "access_token": "a", "refresh_token": "b"}', []),
        ('{"x": {"refresh_token": "old"}, "y": {"refresh_token": "one"}}}', ["one"]),
        ('{"refresh_token": "old"}}', ["old"]),
        ("", []),
    ],
)
def test_only_certain_tokens_are_read_from_a_text(text: str, found: list[str]) -> None:
    read = refresh_tokens_in_text(text, STANDARD.response, ["old"])
    assert list(read.values) == found
    assert not any(one in repr(read) for one in found)


def test_a_path_decides_which_refresh_token_of_a_broken_answer_is_right() -> None:
    text = 'Warning {"refresh_token": "of a bot", "authed_user": {"refresh_token": "of a person"}'
    for path, right in (
        ("refresh_token", "of a bot"),
        ("authed_user.refresh_token", "of a person"),
    ):
        dialect = ResponseDialect(refresh_token=path)
        assert refresh_tokens_in_text(text, dialect).values == (right,)


@pytest.mark.slow
@pytest.mark.parametrize("piece", ['{"a":', "[1,", '{"a":"b"},', '{"', "{a", '"a":"b",'])
def test_an_endless_broken_answer_is_searched_in_no_time(piece: str) -> None:
    began = time.monotonic()
    refresh_tokens_in_text("{" + piece * (900_000 // len(piece)), STANDARD.response)
    assert time.monotonic() - began < 10
