"""How a session reads ``WWW-Authenticate``."""

from __future__ import annotations

import json
import pickle
from base64 import urlsafe_b64encode

import httpx
import pytest

from oauth_taskflow.api.errors import ApiConsentRequired, ApiStatusError
from oauth_taskflow.errors import ConsentRequired
from tests.api.conftest import Connect, Converse, Serve
from tests.api.scripted import Reply, Sources
from tests.api.test_session import in_turn


@pytest.mark.parametrize(
    ("status", "challenge"),
    [
        (403, "insufficient_scope"),
        (401, "insufficient_scope"),
        (401, "insufficient_user_authentication"),
    ],
)
def test_refusals_that_no_token_cures_cause_no_refresh(
    serve: Serve, connect: Connect, source: Sources, status: int, challenge: str
) -> None:
    headers = {"WWW-Authenticate": f'Bearer realm="x", error="{challenge}"'}
    api = serve(in_turn(Reply({}, status, headers)))
    with pytest.raises(ApiStatusError, match=challenge):
        connect(api).get("/x").raise_for_status()
    assert source.refusals == 0


def test_a_missing_scope_is_named_and_causes_no_refresh(
    serve: Serve, connect: Connect, source: Sources
) -> None:
    challenge = 'Basic realm="error=x", Bearer error="insufficient_scope", scope="crm.write\\"\x1b"'
    api = serve(in_turn(Reply({}, 403, {"WWW-Authenticate": challenge})))
    with pytest.raises(ApiStatusError) as caught:
        connect(api).get("/x").raise_for_status()
    assert str(caught.value) == (
        'The API answered HTTP 403 Forbidden (insufficient_scope, it takes the scope crm.write"): {} at GET '
        f"{api.url}/x. The token is valid but lacks a permission or scope for this call."
    )
    assert (caught.value.retryable, source.refusals) == (False, 0)


CLAIMS = '{"access_token":{"acrs":{"essential":true,"value":"c1"}}}'


@pytest.mark.parametrize(
    ("challenge", "demands"),
    [
        (
            'error="insufficient_user_authentication", acr_values="mfa", max_age="300"',
            {"acr_values": "mfa", "max_age": "300"},
        ),
        (
            f'error="insufficient_claims", claims="{urlsafe_b64encode(CLAIMS.encode()).decode()}"',
            {"claims": CLAIMS},
        ),
        ('error="invalid_token", claims="no base64!"', {"claims": "no base64!"}),
        ('error="insufficient_user_authentication"', {}),
    ],
)
def test_another_login_is_asked_for_with_what_the_api_demands(
    serve: Serve, connect: Connect, source: Sources, challenge: str, demands: dict[str, str]
) -> None:
    api = serve(in_turn(Reply({}, 401, {"WWW-Authenticate": f"Bearer {challenge}"})))
    with pytest.raises(ConsentRequired) as caught:
        connect(api).get("/x").raise_for_status()
    error = caught.value
    assert isinstance(error, ApiConsentRequired)
    assert (error.demands, error.status, error.retryable) == (demands, 401, False)
    assert error.hint.lower().endswith("let a person log in: airflow oauth login.")
    assert not demands or f"Put {json.dumps(demands)} into authorize_params" in error.hint
    assert (source.refusals, len(api.asked)) == (0, 1)
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.demands) == (str(error), demands)


def test_an_async_session_asks_for_another_login_too(
    serve: Serve, converse: Converse, source: Sources
) -> None:
    header = {"WWW-Authenticate": 'Bearer error="insufficient_user_authentication"'}
    api = serve(in_turn(Reply({}, 401, header)))
    with pytest.raises(ConsentRequired) as caught:
        converse(api, lambda s: s.get("/x")).raise_for_status()
    assert isinstance(caught.value, httpx.HTTPStatusError)
    assert source.refusals == 0


def test_words_in_a_quoted_realm_do_not_prevent_a_refresh(
    serve: Serve, connect: Connect, source: Sources
) -> None:
    header = {"WWW-Authenticate": 'Bearer realm="error=insufficient_scope", error="invalid_token"'}
    api = serve(in_turn(Reply({}, 401, header), {}))
    assert connect(api).get("/x").status_code == 200
    assert source.refusals == 1
