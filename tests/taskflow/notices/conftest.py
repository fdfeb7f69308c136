"""A mail server as the operators' notifier, and connections that a person consented to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.mail import MailServer, mail_server
from tests.taskflow.conftest import SetConnection


@pytest.fixture
def mail(set_connection: SetConnection) -> Iterator[MailServer]:
    """A mail server, which the connection ``smtp_default`` names."""
    with mail_server() as server:
        set_connection("smtp_default", server.connection())
        yield server


@pytest.fixture
def base_url(monkeypatch: pytest.MonkeyPatch) -> str:
    """``[api] base_url``, below a path."""
    url = "https://flow.example.com/air"
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", f"{url}/")
    return url


def make_notifier(**options: Any) -> Any:
    """Airflow's mail notifier, with the templates of the docs."""
    from airflow.providers.smtp.notifications.smtp import SmtpNotifier  # noqa: PLC0415 - Airflow needs its home first

    return SmtpNotifier(
        from_email="airflow@example.com",
        to="ops@example.com",
        subject="{{ notice.title }}",
        html_content="{{ notice.html }}",
        **options,
    )
