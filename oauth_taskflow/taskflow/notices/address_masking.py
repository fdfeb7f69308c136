"""Shortens addresses to their hosts in all that is logged while a notifier sends: the path of a webhook is its secret.

Airflow masks the password of a connection as it is stored. A webhook's address with another slash or blank at its end, or
in another field, is not masked, and copies of the log that Airflow keeps outside of the task's file are not masked at all.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_ADDRESS = re.compile(
    r"(?P<kept>\b[a-z][a-z0-9+.-]{1,20}://)(?:[^\s/\"'<>@]*@)?(?P<host>[^\s/\"'<>?#]*)[/?#][^\s\"'<>]*",
    re.IGNORECASE,
)
# As urllib3 and requests write them, without the host.
_PATH = re.compile(r"(?P<kept>\burl: |\"[A-Z]{3,7} )/[^\s\"'<>]*")
_is_sending: ContextVar[bool] = ContextVar("oauth_taskflow_is_sending", default=False)


def hide_paths(text: str) -> str:
    """``text`` with nothing behind the hosts of its addresses."""
    text = _ADDRESS.sub(r"\g<kept>\g<host>/***", text)
    return _PATH.sub(r"\g<kept>/***", text)


@contextmanager
def hide_logged_paths() -> Iterator[None]:
    """Applies ``hide_paths`` to what is logged in the block: by this thread, by tasks of asyncio, by any logger."""
    _install()
    token = _is_sending.set(True)
    try:
        yield
    finally:
        _is_sending.reset(token)


def _install() -> None:
    """Takes a place before each output: Python's own loggers, and those of structlog, which Airflow's hooks have."""
    import structlog  # noqa: PLC0415 - run time only

    made = logging.getLogRecordFactory()
    if not isinstance(made, _RecordFactory):
        logging.setLogRecordFactory(_RecordFactory(made))
    # In place, because loggers that were used before keep this list. The last one makes bytes of the event.
    processors = structlog.get_config()["processors"]
    if _clean_event not in processors:
        processors.insert(len(processors) - 1, _clean_event)


class _RecordFactory:
    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record: logging.LogRecord = self._inner(*args, **kwargs)
        if _is_sending.get():
            text = record.getMessage()
            if record.exc_info and record.exc_info[0]:
                text = f"{text}\n{logging.Formatter().formatException(record.exc_info)}"
            record.msg, record.args, record.exc_info = hide_paths(text), (), None
        return record


def _clean_event(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    if _is_sending.get():
        for name, value in event.items():
            event[name] = _clean(value)
    return event


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return hide_paths(value)
    if isinstance(value, dict):
        return {name: _clean(one) for name, one in value.items()}
    return [_clean(one) for one in value] if isinstance(value, list | tuple) else value
