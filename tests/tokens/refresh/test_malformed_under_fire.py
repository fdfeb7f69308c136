"""A server that answers in every malformed form, in any order, while workers are killed: the newest refresh token stays.

Workers come and go with two connections, a right and a wrong one. Each has a separate memory and shares the store.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlencode

import pytest

from oauth_taskflow.errors import OAuthTaskflowError
from oauth_taskflow.oauth.client import Client
from oauth_taskflow.oauth.dialect import Dialect, ResponseDialect
from oauth_taskflow.oauth.endpoint.token_endpoint import TokenEndpoint
from oauth_taskflow.oauth.grants import RefreshToken
from oauth_taskflow.tokens.events import Event, Step
from oauth_taskflow.tokens.manager import TokenManager
from oauth_taskflow.tokens.state.record import GrantRecord
from oauth_taskflow.tokens.state.transitions import Transition
from tests.oauth.raw_server import http_answer
from tests.support.clock import FakeClock
from tests.tokens.clocked_store import ClockedStore
from tests.tokens.conftest import KEY
from tests.tokens.rotating import Form, Rotating, plain, rotating

pytestmark = pytest.mark.slow

ROUNDS = 30
RIGHT = ResponseDialect()
WRONG = [
    ResponseDialect(access_token="acces_token"),
    ResponseDialect(access_token="data.token", refresh_token="data.refresh"),
    ResponseDialect(refresh_token="refres_token"),
    ResponseDialect(success="ok == `true`"),
]
# Not between the arrival of an answer and its file: what only that process knew is gone with it.
KILLS = [None, None, None, Step.LEASED, Step.JOURNALED, Step.SENDING, Step.KEPT, Step.PERSISTED]


class MortalStore(ClockedStore):
    """A store that takes nothing from a process that was killed."""

    dead = False

    def change(self, record: GrantRecord, transition: Transition) -> GrantRecord:
        if self.dead:
            raise SystemExit
        return super().change(record, transition)


def as_json(**fields: object) -> Form:
    """Answers with ``fields``, in which AT and RT stand for the tokens."""

    def form(access_token: str, refresh_token: str) -> bytes:
        text = json.dumps(fields).replace("AT", access_token).replace("RT", refresh_token)
        return http_answer(200, text.encode())

    return form


def encode_as_form(access_token: str, refresh_token: str) -> bytes:
    """An answer in the encoding of forms."""
    text = urlencode({"access_token": access_token, "refresh_token": refresh_token})
    return http_answer(200, text.encode(), kind="application/x-www-form-urlencoded")


ROTATING: list[Form] = [
    plain,
    plain,
    encode_as_form,
    as_json(refresh_token="RT"),
    as_json(access_token="AT", refresh_token="RT", token_type="mac"),
    as_json(access_token="", refresh_token="RT"),
    as_json(data={"access_token": "AT", "refresh_token": "RT"}),
    as_json(access_token=["AT"], refreshToken="RT", expires_in="soon"),
    as_json(access_token="AT", refresh_token="RT", expires_in=float("nan")),
]
UNROTATED = [
    http_answer(400, b""),
    http_answer(403, b"<html>blocked</html>"),
    http_answer(401, b""),
    http_answer(
        400, b'{"error": "invalid_client", "refresh_token": "not-a-refresh-token-of-ours"}'
    ),
    http_answer(200, b'{"error": "slow_down", "access_token": "no-access-token-of-ours"}'),
    http_answer(200, b"{}"),
    http_answer(429, b'{"access_token": "no-access-token-of-ours"}', "Retry-After: 1"),
    http_answer(302, b"", "Location: https://elsewhere.example.com"),
]


def answering_anything(server: Rotating, chance: random.Random) -> Form:
    """Any form of a rotation, or a refusal that spends nothing."""

    def form(access_token: str, refresh_token: str) -> bytes:
        if chance.random() < 0.4:
            server.current = server.sent[-1]
            return chance.choice(UNROTATED)
        return chance.choice(ROTATING)(access_token, refresh_token)

    return form


def worker(
    store: MortalStore, server: Rotating, read_as: ResponseDialect, observe: Callable[[Event], None]
) -> TokenManager:
    """A new process, as far as tokens go."""
    endpoint = TokenEndpoint(
        server.url,
        Client("me", "client-secret"),
        conn_id="crm",
        dialect=Dialect(response=read_as),
        clock=store._clock,
    )
    grant = RefreshToken("seed-token")
    return TokenManager.for_grant(store, endpoint, grant, clock=store._clock, observer=observe)


def live(store: MortalStore, server: Rotating, chance: random.Random) -> None:
    """One worker that asks for a token, and may be killed on the way."""
    kill = chance.choice(KILLS)

    def observe(event: Event) -> None:
        if event.step is kill:
            store.dead = True
            raise SystemExit

    read_as = chance.choice([RIGHT, chance.choice(WRONG)])
    under_test = worker(store, server, read_as, observe)
    try:
        token = under_test.token().access_token
        if chance.random() < 0.5:
            under_test.renew(token)
    except (OAuthTaskflowError, SystemExit):
        pass
    store.dead = False


@pytest.mark.parametrize("seed", range(5))
def test_the_newest_refresh_token_that_arrived_is_stored_and_works(
    tmp_path: Path, clock: FakeClock, seed: int
) -> None:
    chance = random.Random(seed)
    store = MortalStore(f"sqlite:///{tmp_path}/tokens.db", [KEY], clock=clock)
    with rotating(plain) as server:
        server.form = answering_anything(server, chance)
        for _ in range(ROUNDS):
            live(store, server, chance)
            clock.advance(chance.choice([1, 61, 400, 4000]))
        assert not server.revoked
        server.form = plain
        newest, before = server.current, len(server.sent)
        clock.advance(4000)
        last = worker(store, server, RIGHT, lambda _event: None)
        with suppress(OAuthTaskflowError):  # imports an unusable answer that a killed worker left
            last.token()
        clock.advance(4000)
        last.renew(last.token().access_token)
        assert newest in server.sent[before:]
        assert last.stored.read().refresh_token == server.current
    assert not server.revoked
    store.close()
