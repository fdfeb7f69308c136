"""Resources, filters, credentials and the endpoints that misbehave."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from oauth_taskflow.testing import OAuthTestServer
from oauth_taskflow.testing.dataset import airports, canonical_time, synthetic_updated_at
from tests.testing.calls import TIMEOUT, get


def call(
    server: OAuthTestServer, path: str, method: str = "GET", **options: Any
) -> requests.Response:
    """A call without credentials other than those in ``options``."""
    return requests.request(method, server.base_url + path, timeout=TIMEOUT, **options)


def rows(server: OAuthTestServer, path: str) -> list[dict[str, Any]]:
    data: list[dict[str, Any]] = get(server, path, server.issue_access_token()).json()["data"]
    return data


def test_the_dataset_is_large_ordered_and_without_repeats() -> None:
    codes = airports().icao

    assert len(codes) > 20_000
    assert list(codes) == sorted(set(codes))


def test_update_times_are_the_same_for_ever_and_within_two_years() -> None:
    assert synthetic_updated_at("EDDF") == "2025-08-05T13:07:55Z"
    times = airports().updated_at
    assert "2025-01-01T00:00:00Z" <= min(times) < "2025-01-02"
    assert "2026-12-30" < max(times) < "2027"


def test_without_a_token_the_challenge_names_no_error(oauth_server: OAuthTestServer) -> None:
    answer = call(oauth_server, "/page/airports")

    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="airports"'


@pytest.mark.parametrize("value", ["Bearer made-up", "bearer made-up", "Basic abc"])
def test_a_wrong_token_is_named_invalid(oauth_server: OAuthTestServer, value: str) -> None:
    answer = call(oauth_server, "/page/airports", headers={"Authorization": value})

    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


def test_countries_count_their_airports(oauth_server: OAuthTestServer) -> None:
    countries = rows(oauth_server, "/countries")

    assert sum(country["airports"] for country in countries) == len(airports())
    swiss = next(country for country in countries if country["code"] == "CH")
    assert len(rows(oauth_server, "/countries/CH/airports")) == swiss["airports"]


def test_filters_select_by_country_and_half_open_interval(oauth_server: OAuthTestServer) -> None:
    everything = rows(oauth_server, "/page/airports?country=CH&per_page=1000")
    cut = everything[0]["updated_at"]

    before = rows(oauth_server, f"/page/airports?country=CH&per_page=1000&updated_before={cut}")
    since = rows(oauth_server, f"/page/airports?country=CH&per_page=1000&updated_since={cut}")

    assert {row["country"] for row in everything} == {"CH"}
    assert everything[0] in since
    assert sorted(before + since, key=lambda row: str(row["icao"])) == everything


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("2025-06-01", "2025-06-01T00:00:00Z"),
        ("2025-06-01T12:00:00", "2025-06-01T12:00:00Z"),
        ("2025-06-01T12:00:00Z", "2025-06-01T12:00:00Z"),
        ("2025-06-01T12:00:00+02:00", "2025-06-01T10:00:00Z"),
        ("2025-06-01T12:00:00.500000Z", "2025-06-01T12:00:01Z"),
    ],
)
def test_times_are_read_in_every_usual_form(text: str, canonical: str) -> None:
    assert canonical_time(text) == canonical


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/page/airports?updated_since=yesterday", "updated_since must be a date or time"),
        ("/page/airports?page=0", "page must be a whole number of at least 1, not '0'"),
        ("/offset/airports?limit=x", "limit must be a whole number of at least 1, not 'x'"),
        ("/cursor/airports?after=%C3%A9", "after is not a cursor of this resource"),
        ("/cursor/airports?after=Zm9v", "after is not a cursor of this resource"),
        ("/next/airports?links=odd", "links must be relative, absolute, query or foreign"),
        ("/flaky/soon", "status must be a whole number, not 'soon'"),
    ],
)
def test_parameters_that_make_no_sense_are_400(
    oauth_server: OAuthTestServer, path: str, detail: str
) -> None:
    answer = get(oauth_server, path, oauth_server.issue_access_token())

    assert answer.status_code == 400
    assert answer.json()["error"].startswith(detail)


@pytest.mark.parametrize(
    "path",
    ["/airports/NONE", "/nowhere", "/", "/with", "/with/magic/countries", "/redirect/away", "/_x"],
)
def test_unknown_resources_are_404(oauth_server: OAuthTestServer, path: str) -> None:
    token = oauth_server.issue_access_token()

    assert get(oauth_server, path, token).status_code == 404


def test_the_api_is_for_reading(oauth_server: OAuthTestServer) -> None:
    answer = call(oauth_server, "/with/none/countries", "DELETE")

    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert call(oauth_server, "/with/none/countries", "HEAD").content == b""


def test_every_kind_of_static_credentials_has_its_entrance(oauth_server: OAuthTestServer) -> None:
    known = oauth_server.credentials
    good: dict[str, dict[str, Any]] = {
        "none": {},
        "bearer": {"headers": {"Authorization": f"Bearer {known.bearer}"}},
        "api_key": {"headers": {"X-API-Key": known.api_key}},
        "basic": {"auth": (known.username, known.password)},
    }
    for kind, options in good.items():
        path = f"/with/{kind}/page/airports?country=CH"
        assert call(oauth_server, path, **options).status_code == 200
        if kind != "none":
            assert call(oauth_server, path).status_code == 401


@pytest.mark.parametrize("encoding", ["json", "data"])
def test_a_login_yields_a_token_for_the_api(oauth_server: OAuthTestServer, encoding: str) -> None:
    who = {"username": "admin", "password": "static-password"}

    answer = call(oauth_server, "/auth/token", "POST", **{encoding: who})

    assert (answer.status_code, list(answer.json())) == (201, ["access_token"])
    assert get(oauth_server, "/countries", answer.json()["access_token"]).status_code == 200
    assert oauth_server.counters.logins == 1


def test_a_wrong_login_is_refused(oauth_server: OAuthTestServer) -> None:
    wrong = {"username": "admin", "password": "guess"}

    assert call(oauth_server, "/auth/token", "POST", json=wrong).status_code == 401
    assert call(oauth_server, "/auth/token", "POST", json=["x"]).status_code == 401
    assert call(oauth_server, "/auth/token").status_code == 405


def test_scopes_are_enforced(oauth_server: OAuthTestServer) -> None:
    token = oauth_server.issue_access_token("airports.write")

    assert get(oauth_server, "/scope/airports.write", token).json() == {"scope": "airports.write"}
    refused = get(oauth_server, "/scope/airports.read", token)
    assert refused.status_code == 403
    assert refused.headers["WWW-Authenticate"] == (
        'Bearer error="insufficient_scope", scope="airports.read"'
    )


def test_echo_answers_what_it_received(oauth_server: OAuthTestServer) -> None:
    answer = call(oauth_server, "/echo?a=1&a=2", "PUT", data="body", headers={"X-Odd": "x"}).json()

    assert (answer["method"], answer["path"], answer["body"]) == ("PUT", "/echo", "body")
    assert answer["query"] == [["a", "1"], ["a", "2"]]
    assert answer["headers"]["X-Odd"] == "x"


def test_redirects_lead_to_the_same_and_to_another_origin(oauth_server: OAuthTestServer) -> None:
    same = call(oauth_server, "/redirect/same?status=307", "POST", data="kept")
    other = call(oauth_server, "/redirect/other", auth=("user", "secret"))

    assert (same.json()["method"], same.json()["body"]) == ("POST", "kept")
    assert other.url == oauth_server.base_url.replace("127.0.0.1", "localhost") + "/echo"
    assert "Authorization" not in other.json()["headers"]
    with pytest.raises(requests.TooManyRedirects):
        call(oauth_server, "/redirect/loop")


def test_flaky_fails_as_often_as_asked_per_key(oauth_server: OAuthTestServer) -> None:
    path = "/flaky/429?times=2&retry_after=3&key=a"

    answers = [call(oauth_server, path) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert [answer.headers.get("Retry-After") for answer in answers] == ["3", "3", None]
    assert answers[-1].json() == {"attempts": 3}
    assert call(oauth_server, "/flaky/429?key=b").status_code == 429
