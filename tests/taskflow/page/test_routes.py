"""Every route of the page: who may call it, from where, and what all answers have in common."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.measured import measure_child
from tests.taskflow.page.conftest import SAME_ORIGIN, Browse

ROOT = Path(__file__).resolve().parents[3]
# The parking of a consent's answer: some providers post it, and then no cookie comes along.
ANONYMOUS = frozenset({"/callback", "/callback/"})
# These take HTML forms; all others take JSON.
FORMS = frozenset(
    {"/new", "/new/{provider}", "/edit/{connection_id:path}", "/saved/{connection_id:path}"}
)


def routes(root_app: Any) -> Iterator[Any]:
    """The routes of the app, static files left out."""
    (mounted,) = [route for route in root_app.routes if getattr(route, "path", "") == "/oauth"]
    yield from (route for route in mounted.app.routes if getattr(route, "name", "") != "static")


def dependencies(dependant: Any) -> Iterator[Any]:
    for below in dependant.dependencies:
        yield below.call
        yield from dependencies(below)


def test_every_route_has_a_permission_and_refuses_writes_from_elsewhere(root_app: Any) -> None:
    from oauth_taskflow.taskflow.page.access import (  # noqa: PLC0415 - Airflow needs its home first
        PERMISSIONS,
        refuse_foreign_forms,
        refuse_foreign_writes,
    )

    found = list(routes(root_app))
    assert len(found) > 1
    for route in found:
        called = set(dependencies(route.dependant))
        assert route.path in ANONYMOUS or called & set(PERMISSIONS), route.path
        gate = refuse_foreign_forms if route.path in FORMS else refuse_foreign_writes
        assert route.path in ANONYMOUS or gate in called, route.path


def test_no_route_that_reads_can_be_asked_to_change_something(root_app: Any) -> None:
    for route in routes(root_app):
        assert not ({"GET", "HEAD"} & route.methods and route.methods - {"GET", "HEAD"}), route.path


def test_nothing_is_published_about_the_routes(browse: Browse) -> None:
    client = browse("admin")
    for path in ("/openapi.json", "/docs", "/redoc"):
        assert client.get(f"/oauth{path}").status_code == 404


@pytest.mark.parametrize(("name", "status"), [("", 401), ("viewer", 403), ("admin", 200)])
def test_only_users_with_the_permission_read_connections(
    browse: Browse, name: str, status: int
) -> None:
    client = browse(name)
    for path in ("/oauth/api/connections", "/oauth/"):
        assert client.get(path).status_code == status


@pytest.mark.parametrize("path", ["/oauth/", "/oauth/connect/a%2Fb%20c"])
def test_a_person_who_is_not_logged_in_is_sent_to_airflows_login_and_back(
    browse: Browse, path: str
) -> None:
    answer = browse().get(path, headers={"Accept": "text/html"}, follow_redirects=False)
    assert answer.status_code == 303
    back = parse_qs(urlsplit(answer.headers["location"]).query)["next"]
    assert back == [path]


def test_the_page_that_finishes_a_consent_is_shown_without_a_login_and_holds_nothing(
    browse: Browse,
) -> None:
    answer = browse().get("/oauth/consent", headers={"Accept": "text/html"}, follow_redirects=False)
    assert answer.status_code == 401
    assert "consent.js" in answer.text  # keeps the ticket of its fragment, and offers the login
    assert answer.headers["referrer-policy"] == "same-origin"
    answer = browse().get("/oauth/connect/crm", headers={"Accept": "text/html"})
    assert "crm" not in answer.text


def test_every_answer_has_the_policies_and_is_kept_nowhere(browse: Browse) -> None:
    client = browse("admin")
    for path in ("/oauth/", "/oauth/api/connections", "/oauth/nothing"):
        headers = client.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["referrer-policy"] == "same-origin"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"


def test_static_files_need_no_login_and_are_asked_for_again(browse: Browse) -> None:
    from oauth_taskflow.taskflow.page.places import static_url  # noqa: PLC0415 - see above

    answer = browse().get(static_url("main.js"))
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cache-control"] == "no-cache"
    assert browse().get("/oauth/static/0/../../app.py").status_code == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (SAME_ORIGIN, 404),
        ({**SAME_ORIGIN, "Sec-Fetch-Site": "cross-site"}, 403),
        ({**SAME_ORIGIN, "Sec-Fetch-Site": "same-site"}, 403),
        ({**SAME_ORIGIN, "Sec-Fetch-Site": "none"}, 403),
        ({"Origin": "http://airflow.test", "Content-Type": "application/json"}, 404),
        ({"Origin": "https://airflow.test", "Content-Type": "application/json; charset=x"}, 404),
        ({"Origin": "http://evil.example", "Content-Type": "application/json"}, 403),
        ({"Origin": "null", "Content-Type": "application/json"}, 403),
        ({"Content-Type": "application/json"}, 403),
        ({"Authorization": "Bearer x", "Content-Type": "application/json"}, 404),
        ({**SAME_ORIGIN, "Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({**SAME_ORIGIN, "Content-Type": "text/plain"}, 415),
        ({"Sec-Fetch-Site": "same-origin"}, 415),
    ],
)
def test_writes_come_from_this_origin_and_hold_json(headers: dict[str, str], status: int) -> None:
    from fastapi import Depends, FastAPI  # noqa: PLC0415 - see above
    from starlette.testclient import TestClient  # noqa: PLC0415 - see above

    from oauth_taskflow.taskflow.page.access import refuse_foreign_writes  # noqa: PLC0415 - see above

    app = FastAPI(dependencies=[Depends(refuse_foreign_writes)])

    @app.post("/done", status_code=404)
    def done() -> None:
        """Reached: the status is one that the check does not give."""

    with TestClient(app, base_url="http://airflow.test") as client:
        assert client.post("/done", content="{}", headers=headers).status_code == status


def test_a_bug_is_answered_by_name_only(
    root_app: Any, browse: Browse, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from oauth_taskflow.taskflow.page import connection_routes  # noqa: PLC0415 - see above

    def fail(*_: object, **__: object) -> None:
        raise KeyError("s3cret-value")

    monkeypatch.setattr(connection_routes, "encode_listing", fail)
    answer = browse("admin").get("/oauth/api/connections")
    assert answer.status_code == 500
    assert answer.json() == {
        "detail": "The API server failed (KeyError)",
        "where": "",
        "hint": "Its log names the place.",
    }
    assert "KeyError at" in caplog.text
    assert "s3cret-value" not in caplog.text


@pytest.mark.slow
def test_the_wheel_holds_the_static_files_and_pages(tmp_path: Path) -> None:
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    with zipfile.ZipFile(tmp_path / done.stdout.split()[-1]) as wheel:
        names = set(wheel.namelist())
    room = ROOT / "oauth_taskflow/taskflow/page"
    ours = [path for folder in ("static", "pages") for path in (room / folder).iterdir()]
    assert len(ours) > 5
    assert {path.relative_to(ROOT).as_posix() for path in ours} <= names


def test_the_plugin_loads_no_fastapi_until_the_api_server_asks() -> None:
    script = (
        "import sys\n"
        "from oauth_taskflow.taskflow.preload import PreloadPlugin\n"
        "plugin = PreloadPlugin()\n"
        "assert plugin.react_apps[0]['bundle_url'].startswith('/oauth/static/')\n"
        "heavy = {'fastapi', 'starlette', 'jinja2'} & set(sys.modules)\n"
        "print(sorted(heavy), [name for name in sys.modules if name.startswith('oauth_taskflow.taskflow.page.')])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=measure_child(os.environ),
        check=True,
        capture_output=True,
        text=True,
    )
    assert "fastapi" not in done.stdout
    assert "page.app" not in done.stdout


def test_a_page_that_cannot_be_built_leaves_the_api_server_alive(
    root_app: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from oauth_taskflow.taskflow.page import app  # noqa: PLC0415 - see above
    from oauth_taskflow.taskflow.preload import PreloadPlugin  # noqa: PLC0415 - see above

    def fail() -> None:
        raise RuntimeError("s3cret-value")

    monkeypatch.setattr(app, "build_app", fail)
    assert PreloadPlugin().fastapi_apps == []
    assert "The page OAuth is missing: RuntimeError" in caplog.text
    assert "s3cret-value" not in caplog.text
