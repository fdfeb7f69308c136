"""``airflow oauth login`` at the same server, as a public client of a terminal."""

from __future__ import annotations

import webbrowser

import pytest

from oauth_taskflow.taskflow.cli.login import login
from tests.oidc_provider.conftest import Register
from tests.oidc_provider.person import Person
from tests.oidc_provider.test_connect import ask_userinfo
from tests.taskflow.cli.login_runs import arguments, read_row

pytestmark = [pytest.mark.airflow, pytest.mark.usefixtures("own_store")]


def test_a_login_on_a_free_port_of_this_machine_stores_a_grant(
    register: Register,
    airflow_home: object,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("BROWSER", "any")
    monkeypatch.setattr(webbrowser, "open", lambda url: bool(Person().visit(url).ok))
    register(client="terminal")
    login(arguments())
    assert read_row(capsys)["state"] == "fresh"
    assert ask_userinfo() == 200
