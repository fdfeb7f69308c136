"""Checks of ``airflow oauth login`` before it asks for consent, and its messages when the login fails."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.taskflow.cli import login as login_command
from oauth_taskflow.taskflow.cli.login import login
from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.cli.login_runs import (
    arguments,
    call_api,
    hold_port,
    read_row,
    run_failing_login,
)
from tests.taskflow.conftest import Connect

pytestmark = pytest.mark.usefixtures("own_store")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"port": 65536}, "--port takes 1 to 65535, or 0 for a free one."),
        ({"port": -1}, "--port takes 1 to 65535, or 0 for a free one."),
        ({"device": True, "paste": True}, "--device and --paste are two ways to log in"),
    ],
)
def test_wrong_arguments_are_sentences_with_status_2(
    connect: Connect, capsys: pytest.CaptureFixture[str], given: dict[str, Any], said: str
) -> None:
    connect()
    with pytest.raises(SystemExit) as caught:
        login(arguments(**given))
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_a_login_fails_before_consent_when_the_store_is_unusable(
    connect: Connect,
    oauth_server: OAuthTestServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    connect()
    (tmp_path / "file").touch()
    monkeypatch.setenv(
        "AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE", f"sqlite:///{tmp_path}/file/tokens.db"
    )
    text = run_failing_login(capsys)
    assert "token store" in text
    assert "Open this address" not in text
    assert oauth_server.requests == []


@pytest.mark.usefixtures("airflow_home")
def test_a_login_fails_before_consent_when_write_back_is_impossible(
    connect: Connect,
    oauth_server: OAuthTestServer,
    browser: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    connect()
    assert "The connection is not in the metadata database" in run_failing_login(
        capsys, write_back=True
    )
    assert (browser, oauth_server.requests) == ([], [])


@pytest.mark.usefixtures("airflow_home", "browser")
def test_a_login_succeeds_although_the_write_back_fails(
    connect: Connect, capsys: pytest.CaptureFixture[str]
) -> None:
    connect(write_back=True)
    login(arguments())
    captured = capsys.readouterr()
    assert "The refresh token was not written back: The connection is not in the" in captured.err
    assert call_api() == 200


@pytest.mark.usefixtures("airflow_home", "browser")
def test_a_failing_metadata_database_is_named_without_the_text_of_its_error(
    connect: Connect, capsys: pytest.CaptureFixture[str]
) -> None:
    from airflow import settings  # noqa: PLC0415 - Airflow needs its home first
    from sqlalchemy import event  # noqa: PLC0415 - as above
    from sqlalchemy.exc import OperationalError  # noqa: PLC0415 - as above

    def fail(*_: Any) -> None:
        raise OperationalError("SELECT", {}, Exception("the row's secrets"))

    connect(write_back=True)
    event.listen(settings.engine, "before_cursor_execute", fail)
    try:
        login(arguments())
    finally:
        event.remove(settings.engine, "before_cursor_execute", fail)
    said = capsys.readouterr().err
    assert "written back: The metadata database failed (OperationalError) in connection" in said
    assert "secrets" not in said


def test_ctrl_c_ends_the_login_with_a_sentence(
    connect: Connect, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    connect()
    monkeypatch.setattr(login_command, "input", interrupt, raising=False)
    text = run_failing_login(capsys, paste=True)
    assert text.endswith("Interrupted: the login did not end, and can be started again.\n")


def test_the_reason_why_a_port_cannot_be_used_is_printed(
    connect: Connect, capsys: pytest.CaptureFixture[str]
) -> None:
    connect()
    with hold_port() as port:
        assert "cannot be opened for listening (Address already in use)" in run_failing_login(
            capsys, port=port
        )


def test_a_login_shows_the_state_as_status_does(
    connect: Connect, browser: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    connect()
    login(arguments())
    assert read_row(capsys)["asked_again_at"] is None
    assert len(browser) == 1
