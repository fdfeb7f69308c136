"""The secrets that this process has seen, in every form they may appear in, until they expire.

Code that meets a secret announces it here. Observers hide it from logs, and the checks of XCom values and events search for
it. That is the second line of defence: messages of this package contain no secrets. It catches what authors of tasks print.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from msgspec.structs import replace

from oauth_taskflow.clock import SYSTEM_CLOCK
from oauth_taskflow.redaction import SHORTEST_SECRET, secret_forms
from oauth_taskflow.secret_values import Hidden, SecretValue

# Called with the forms of new secrets and with the forms of secrets that have expired.
Observer: TypeAlias = Callable[[Sequence[str], frozenset[str]], None]

# A task sees a handful. The limit keeps a process that runs for weeks from growing.
_MAX_SECRETS = 512
# Seconds for which a secret stays hidden at least: logs are late, and clocks differ.
_SHORTEST_LIFE = 3600.0
_IN_TRANSIT = 86400.0

_known: OrderedDict[str, _KnownSecret] = OrderedDict()
_observers: list[Observer] = []
_lock = threading.Lock()


class _KnownSecret(SecretValue, frozen=True):
    """The forms of a secret, and the instant when it becomes worthless (seconds since the epoch)."""

    forms: Hidden[tuple[str, ...]]
    until: float


def add(secrets: Iterable[str], *, until: float = math.inf) -> None:
    """Announces ``secrets``; those shorter than ``SHORTEST_SECRET`` are ignored. Safe for threads.

    After ``until`` (seconds since the epoch) they may be forgotten. Airflow's masker compiles all patterns again for each
    new secret: thousands of expired tokens would cost a triggerer or the broker's API server seconds per token.
    """
    with _lock:
        long_enough = [secret for secret in secrets if len(secret) >= SHORTEST_SECRET]
        added = [form for secret in long_enough for form in _remember(secret, until)]
        expired = _forget_expired() if added else frozenset()
    if added:
        for observer in _observers:
            observer(added, expired)


def add_in_transit(secrets: Iterable[str]) -> None:
    """Announces what the next request sends, for at least a day; a secret that is sent again stays known for longer."""
    add(secrets, until=SYSTEM_CLOCK.now() + _IN_TRANSIT)


def subscribe(observer: Observer) -> None:
    """Calls ``observer`` for secrets that are added from now on, and once for those that are known already."""
    with _lock:
        if observer in _observers:
            return
        _observers.append(observer)
        forms = [form for known in _known.values() for form in known.forms]
    if forms:
        observer(forms, frozenset())


def list_secrets() -> dict[str, tuple[str, ...]]:
    """Every announced secret with the forms it may appear in."""
    with _lock:
        return {secret: known.forms for secret, known in _known.items()}


def _remember(secret: str, until: float) -> tuple[str, ...]:
    """Returns the forms of ``secret``; an empty tuple if it is known already. The caller holds the lock."""
    if (known := _known.get(secret)) is not None:
        _known[secret] = replace(known, until=max(known.until, until))
        return ()
    forms = tuple(secret_forms(secret))
    _known[secret] = _KnownSecret(forms, max(until, SYSTEM_CLOCK.now() + _SHORTEST_LIFE))
    if len(_known) > _MAX_SECRETS:
        _known.popitem(last=False)
    return forms


def _forget_expired() -> frozenset[str]:
    """Removes expired secrets and returns their forms. The caller holds the lock."""
    now = SYSTEM_CLOCK.now()
    expired = [secret for secret, known in _known.items() if known.until < now]
    return frozenset(form for secret in expired for form in _known.pop(secret).forms)
