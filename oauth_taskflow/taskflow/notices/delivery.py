"""Sends one notice through one notifier: of Airflow, of a provider, or a function of the deployment."""

from __future__ import annotations

import copy
import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from msgspec import Struct

from oauth_taskflow.notices.notice import Notice
from oauth_taskflow.notices.sent import RECOVERED
from oauth_taskflow.taskflow import metrics
from oauth_taskflow.taskflow.notices.address_masking import hide_logged_paths

_log = logging.getLogger("oauth_taskflow.notices")
_LONGEST_NAME = 250
Notifier = Any
"""A notifier of Airflow (an instance, or a class without arguments), a function of the context, or the dotted path of one."""


class Channel(Struct, frozen=True):
    """One way to people: its name, the same at every parse of the DAG file, and what sends a notice."""

    name: str
    send: Callable[[Notice, Mapping[str, Any]], None]


def list_channels(notifiers: Sequence[Notifier], scope: str) -> list[Channel]:
    """Returns the log with its metric, and a channel for each notifier; ``scope`` is the DAG, whose notices are its own."""
    channels = [Channel(_name(scope, "log"), log_notice)]
    count: Counter[str] = Counter()
    for notifier in notifiers:
        kind = _name_kind(notifier)
        count[kind] += 1
        number = f" {count[kind]}" if count[kind] > 1 else ""
        channels.append(Channel(_name(scope, f"{kind}{number}"), _bind(notifier)))
    return channels


def _bind(notifier: Notifier) -> Callable[[Notice, Mapping[str, Any]], None]:
    return lambda notice, context: send_notice(notifier, notice, context)


def _name_kind(notifier: Notifier) -> str:
    if isinstance(notifier, str):
        return notifier
    named = notifier if hasattr(notifier, "__qualname__") else type(notifier)
    return str(named.__qualname__)


def _name(scope: str, kind: str) -> str:
    name = f"{scope}: {kind}"
    if len(name) <= _LONGEST_NAME:
        return name
    return f"{name[:200]}… {hashlib.sha256(name.encode()).hexdigest()[:40]}"


def send_notice(notifier: Notifier, notice: Notice, context: Mapping[str, Any]) -> None:
    """Calls ``notifier`` with the context of a task, in which ``notice`` is set for its templates.

    Airflow's notifiers render their templates in place, once for all; so each notice gets a copy.

    Raises:
        Exception: whatever the notifier raises; it is not the code of this package.
    """
    if isinstance(notifier, str):
        module, _, name = notifier.rpartition(".")
        notifier = getattr(import_module(module), name)
    if isinstance(notifier, type):
        notifier = notifier()
    if hasattr(notifier, "template_fields"):
        notifier = copy.copy(notifier)
    with hide_logged_paths():
        notifier({**context, "notice": notice})


def log_notice(notice: Notice, _context: Mapping[str, Any]) -> None:
    """Logs a notice about a grant, and counts it for Airflow's metrics."""
    level = logging.INFO if notice.kind == RECOVERED else logging.WARNING
    _log.log(level, "%s", " ".join((notice.title, *notice.details, notice.link)))
    metrics.count_notice(notice.conn_id, notice.kind)
