"""Rules that a session has for all answers of its API: what a provider says in its own way."""

from __future__ import annotations

import time
from typing import Any

import pytest

from oauth_taskflow.api.errors import ApiStatusError
from oauth_taskflow.api.options import ResponseRule
from oauth_taskflow.api.retry import RetryPolicy
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.presets.load import load_preset
from tests.api.conftest import Connect, Converse, Serve
from tests.api.scripted import Asked, FakeClock, Reply, Sources
from tests.api.test_session import in_turn

GOOGLE = {"error": {"code": 403, "errors": [{"reason": "userRateLimitExceeded"}]}}
GITHUB = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes."}
AMAZON = {"errors": [{"code": "Unauthorized", "details": "The access token you provided is …"}]}


JSON = {"Content-Type": "application/json; charset=utf-8"}


@pytest.mark.parametrize(("provider", "body"), [("google", GOOGLE), ("github", GITHUB)])
def test_a_used_up_limit_that_only_the_body_names_is_waited_for(
    serve: Serve, connect: Connect, clock: FakeClock, provider: str, body: Any
) -> None:
    api = serve(in_turn(Reply(body, 403), {"ok": 1}))
    session = connect(api, responses=load_preset(provider).api_responses)
    assert session.post("/x").json() == {"ok": 1}
    assert clock.slept[0] >= {"google": 0.25, "github": 60.0}[provider]


@pytest.mark.parametrize("body", [{"message": "Forbidden"}, {}, [], b"<html>no</html>", b""])
@pytest.mark.parametrize("provider", ["google", "github", "amazon-sp-api"])
def test_any_other_403_is_final(
    serve: Serve, connect: Connect, source: Sources, provider: str, body: Any
) -> None:
    api = serve(in_turn(Reply(body, 403)))
    answer = connect(api, responses=load_preset(provider).api_responses).get("/x")
    with pytest.raises(ApiStatusError) as caught:
        answer.raise_for_status()
    assert (len(api.asked), source.refusals, caught.value.retryable) == (1, 0, False)


def ended(asked: Asked) -> Reply:
    """An API that takes the second token only, and says so with status 403."""
    good = asked.headers["Authorization"] == "Bearer t2"
    return Reply({"ok": 1}) if good else Reply(AMAZON, 403)


def test_a_token_that_has_ended_by_the_providers_words_is_refreshed_once(
    serve: Serve, connect: Connect, source: Sources
) -> None:
    rules = load_preset("amazon-sp-api").api_responses
    assert connect(serve(ended), responses=rules).get("/x").json() == {"ok": 1}
    assert source.refusals == 1
    api = serve(in_turn(Reply(AMAZON, 403)))
    assert connect(api, responses=rules).get("/x").status_code == 403
    assert (source.refusals, len(api.asked)) == (2, 2)


@pytest.mark.parametrize(
    ("provider", "said"),
    [
        ("meta", Reply({"error": {"type": "OAuthException", "code": 190}}, 400)),
        ("instagram", Reply({"error": {"type": "OAuthException", "code": 190}}, 400)),
        ("marketo", Reply({"success": False, "errors": [{"code": "602"}]}, 200, JSON)),
        ("slack", Reply({"ok": False, "error": "token_expired"}, 200, JSON)),
        ("slack-user", Reply({"ok": False, "error": "token_expired"}, 200, JSON)),
    ],
)
def test_an_ended_token_is_known_without_status_401(
    serve: Serve, connect: Connect, source: Sources, provider: str, said: Reply
) -> None:
    def route(asked: Asked) -> Reply:
        good = asked.headers["Authorization"] == "Bearer t2"
        return Reply({"ok": True}, 200, JSON) if good else said

    session = connect(serve(route), responses=load_preset(provider).api_responses)
    assert session.get("/x").json() == {"ok": True}
    assert source.refusals == 1


@pytest.mark.parametrize(
    ("provider", "said", "wait"),
    [
        ("airtable", Reply({"errors": [{"error": "RATE_LIMIT_REACHED"}]}, 429), 30.0),
        ("docusign", Reply({"errorCode": "BURST_APIINVOCATION_LIMIT_EXCEEDED"}, 400), 30.0),
        ("marketo", Reply({"success": False, "errors": [{"code": "606"}]}, 200, JSON), 20.0),
        ("meta", Reply({"error": {"code": 17}}, 400), 60.0),
        ("meta", Reply({"error": {"code": 80004}}, 403), 60.0),
        ("shopify", Reply({"errors": [{"extensions": {"code": "THROTTLED"}}]}, 200, JSON), 2.0),
    ],
)
def test_a_limit_with_any_status_is_waited_for_as_long_as_the_provider_says(
    serve: Serve, connect: Connect, provider: str, said: Reply, wait: float
) -> None:
    api = serve(in_turn(said, Reply({"ok": 1}, 200, JSON)))
    clock = FakeClock()
    session = connect(api, responses=load_preset(provider).api_responses, clock=clock)
    assert session.post("/x").json() == {"ok": 1}
    assert clock.slept == [wait]


def test_a_rule_that_does_not_fit_an_answer_leaves_it_to_its_status(
    serve: Serve, connect: Connect
) -> None:
    api = serve(in_turn(Reply({"error": {"code": "not a number"}}, 400)))
    session = connect(api, responses=load_preset("meta").api_responses)
    assert session.get("/x").status_code == 400
    assert len(api.asked) == 1


LINEAR = {"errors": [{"extensions": {"code": "RATELIMITED"}}]}
DOCUSIGN = {"errorCode": "HOURLY_APIINVOCATION_LIMIT_EXCEEDED"}


@pytest.mark.parametrize(("provider", "body"), [("linear", LINEAR), ("docusign", DOCUSIGN)])
def test_a_limit_that_a_rule_finds_ends_when_the_reset_header_says(
    serve: Serve, connect: Connect, clock: FakeClock, provider: str, body: Any
) -> None:
    preset = load_preset(provider)
    assert preset.rate_limit is not None
    unit = {"epoch": 1, "epoch_ms": 1000}[preset.rate_limit.reset]
    header = preset.rate_limit.reset_header
    policy = RetryPolicy(reset=preset.rate_limit.reset, reset_header=header, longest_wait=60)

    def route(_: Asked) -> Any:
        used_up = Reply(body, 400, {str(header): str(int((time.time() + 40) * unit))})
        return used_up if len(api.asked) == 1 else {"ok": 1}

    api = serve(route)
    session = connect(api, responses=preset.api_responses, retry=policy)
    assert session.post("/x").json() == {"ok": 1}
    assert clock.slept == [pytest.approx(40, abs=1)]


def test_a_limit_longer_than_a_worker_waits_says_when_to_come_back(
    serve: Serve, connect: Connect
) -> None:
    used_up = {"message": "Rate Limit Exceeded", "errors": [{"code": "exceeded"}]}
    api = serve(in_turn(Reply(used_up, 429)))
    session = connect(api, responses=load_preset("strava").api_responses)
    with pytest.raises(ApiStatusError) as caught:
        session.get("/x")
    assert (len(api.asked), caught.value.retryable, caught.value.retry_after) == (1, True, 900.0)


def test_an_async_session_knows_the_providers_words_too(
    serve: Serve, converse: Converse, source: Sources, clock: FakeClock
) -> None:
    rules = load_preset("amazon-sp-api").api_responses
    assert converse(serve(ended), lambda s: s.get("/x"), responses=rules).json() == {"ok": 1}
    rules = load_preset("github").api_responses
    api = serve(in_turn(Reply(GITHUB, 403), {"ok": 2}))
    assert converse(api, lambda s: s.get("/x"), responses=rules).json() == {"ok": 2}
    assert (source.refusals, clock.slept) == (1, [60.0])


def test_an_error_after_all_tries_says_when_to_come_back(serve: Serve, connect: Connect) -> None:
    api = serve(in_turn(Reply(GITHUB, 403)))
    answer = connect(api, responses=load_preset("github").api_responses).get("/x")
    with pytest.raises(ApiStatusError) as caught:
        answer.raise_for_status()
    assert (len(api.asked), caught.value.retryable, caught.value.retry_after) == (5, True, 60.0)


def test_an_error_after_all_tries_reads_the_providers_reset_header(
    serve: Serve, connect: Connect, converse: Converse
) -> None:
    api = serve(in_turn(Reply({}, 429, {"X-Left": "7"})))
    policy = RetryPolicy(attempts=2, reset="seconds", reset_header="X-Left")
    answers = [
        connect(api, retry=policy).get("/x"),
        converse(api, lambda s: s.get("/x"), retry=policy),
    ]
    for answer in answers:
        with pytest.raises(ApiStatusError) as caught:
            answer.raise_for_status()
        assert (caught.value.retryable, caught.value.retry_after) == (True, 7.0)


def test_rules_of_one_pull_go_before_those_of_the_session(serve: Serve, connect: Connect) -> None:
    api = serve(in_turn(Reply(GITHUB, 403)))
    session = connect(api, responses=load_preset("github").api_responses)
    own = ResponseRule(status=403, action="skip")
    assert list(session.paginate("/x", responses=[own])) == []
    assert len(api.asked) == 1


@pytest.mark.parametrize(
    ("method", "status", "retryable"),
    [
        ("GET", 204, False),
        ("GET", 404, False),
        ("HEAD", 200, False),
        ("GET", 503, True),
        ("GET", 200, True),
    ],
)
def test_json_is_missed_for_good_where_a_body_is_forbidden_or_the_status_lasts(
    serve: Serve, connect: Connect, method: str, status: int, retryable: bool
) -> None:
    api = serve(in_turn(Reply(b"" if status == 204 else b"<html>", status)))
    answer = connect(api, retry=RetryPolicy(attempts=1)).request(method, "/x")
    with pytest.raises(InvalidRecord, match="The answer is not JSON") as caught:
        answer.json()
    assert caught.value.retryable is retryable
