"""The address of a webhook in what is logged while its notifier sends."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator

import pytest
import structlog

from oauth_taskflow.taskflow.notices.address_masking import hide_logged_paths, hide_paths

SECRET = "T000/B000/s3cret"
ADDRESS = f"https://hooks.example.com/services/{SECRET}"


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    """The lines of a logger of Python's and of one of structlog's."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    logging.getLogger("a.webhook").addHandler(handler)
    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.processors.JSONRenderer()],
        logger_factory=lambda *_: structlog.PrintLogger(text),
    )
    factory = logging.getLogRecordFactory()
    yield text
    logging.setLogRecordFactory(factory)
    structlog.configure(**before)
    logging.getLogger("a.webhook").removeHandler(handler)


def fail() -> None:
    raise ValueError(f"Invalid URL detected: {ADDRESS}")


def log_everywhere() -> None:
    for logger in (logging.getLogger("a.webhook"), structlog.get_logger("a.webhook")):
        text = f"Going to retry the same request: POST {ADDRESS}"  # as slack_sdk does
        logger.warning(text)
        try:
            fail()
        except ValueError:
            logger.warning("failed", exc_info=True)
    logging.getLogger("a.webhook").warning("by argument: %s", ADDRESS)
    structlog.get_logger("a.webhook").warning("by key", tried=[{"url": ADDRESS}])


def test_no_logger_writes_the_path_of_a_webhook_while_its_notifier_sends(
    output: io.StringIO,
) -> None:
    with hide_logged_paths(), hide_logged_paths():
        log_everywhere()
    assert SECRET not in output.getvalue()
    assert output.getvalue().count("https://hooks.example.com/***") >= 5
    output.truncate(0)
    log_everywhere()
    assert output.getvalue().count(SECRET) >= 5


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"POST {ADDRESS} - refused", "POST https://hooks.example.com/*** - refused"),
        ("https://user:pw@host:8443?key=s", "https://host:8443/***"),
        ("Max retries exceeded with url: /a/b (Caused by x)", "Max retries exceeded with url: /*** (Caused by x)"),
        ('http://h:80 "POST /a/b HTTP/1.1" 200', 'http://h:80 "POST /*** HTTP/1.1" 200'),
        ("read /etc/hosts of https://host", "read /etc/hosts of https://host"),
    ],
)  # fmt: skip
def test_the_host_and_the_rest_of_the_text_stay(text: str, shown: str) -> None:
    assert hide_paths(text) == shown
