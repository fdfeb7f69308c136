"""Secrets of this process: told to Airflow's log masker, remembered for the guard at XCom.

Masking is the second line: messages of this package hold no secret in the first place. It catches what the author of a
task prints.
"""

from __future__ import annotations

import logging
import math
import re
import sys
import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from msgspec.structs import replace

from oauth_taskflow.clock import SYSTEM_CLOCK
from oauth_taskflow.oauth.token import Token, TokenSource
from oauth_taskflow.redaction import REDACTED, Hidden, SecretValue, redact_text, secret_forms
from oauth_taskflow.taskflow.whereabouts import on_server

# A task sees a handful; the bound keeps a process that lives for weeks from growing.
_MOST = 512
_known: OrderedDict[str, _Known] = OrderedDict()
_lock = threading.Lock()
# Seconds that everything is hidden at least: logs are late, and clocks differ.
_LEAST = 3600.0
_IN_TRANSIT = 86400.0
_AIRFLOWS_MASKERS = ("airflow._shared.secrets_masker", "airflow.sdk._shared.secrets_masker")
# They log whole URLs, with the keys, secrets and tokens that some servers want in the query.
_WIRE_LOGGERS = ("urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry", "httpx")


class _Known(SecretValue, frozen=True):
    """The forms of a secret, and when it is worth nothing any more (seconds since the epoch)."""

    forms: Hidden[tuple[str, ...]]
    until: float


class _WithoutSecrets(logging.Filter):
    """Takes known secrets, and what looks like one or goes by such a name, out of a record at its source.

    Airflow masks a task's log file only. What its LocalExecutor mirrors to the scheduler's own output is not masked.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        text = clean = record.getMessage()
        for forms in known_secrets().values():
            for form in forms:
                clean = clean.replace(form, REDACTED)
        clean = redact_text(clean)
        if clean != text:
            record.msg, record.args = clean, ()
        return True


_without_secrets = _WithoutSecrets()


def mask(secrets: Iterable[str], *, until: float = math.inf) -> None:
    """Hide ``secrets`` in every form (``secret_forms``), in everything that Airflow logs from now on.

    After ``until`` (seconds since the epoch) they may be forgotten: for each new secret Airflow compiles one pattern of
    all it ever knew, which would take a triggerer or the broker's API server seconds after some thousand tokens.

    On the API server only our own filter learns them: no author's code prints there.

    Airflow itself leaves values shorter than five characters alone, and masks nothing of a ``dag.test()`` run
    (https://airflow.apache.org/docs/apache-airflow/stable/security/secrets/mask-sensitive-values.html).
    """
    from airflow.sdk.log import mask_secret  # noqa: PLC0415 - run time only

    for name in _WIRE_LOGGERS:
        logging.getLogger(name).addFilter(_without_secrets)  # one that is there already is kept
    with _lock:
        new = [form for secret in secrets if secret for form in _remember(secret, until)]
        spent = _forget_spent() if new else frozenset()
    if new and not on_server():
        _unmask(spent)
        # Airflow compiles one pattern of all it knows anew for each form, here and again in the task's supervisor: the
        # long ones come last. Without a name: with one, only telling names are masked.
        ordered: list[Any] = sorted(new, key=len)
        mask_secret(ordered)


def mask_in_transit(secrets: Iterable[str]) -> None:
    """Hide what the next request sends, for a day at least; what is sent again is hidden that much longer."""
    mask(secrets, until=SYSTEM_CLOCK.now() + _IN_TRANSIT)


def _remember(secret: str, until: float) -> tuple[str, ...]:
    """The forms to mask; none of a secret that is masked already. The caller holds the lock."""
    if (known := _known.get(secret)) is not None:
        _known[secret] = replace(known, until=max(known.until, until))
        return ()
    forms = tuple(secret_forms(secret))
    _known[secret] = _Known(forms, max(until, SYSTEM_CLOCK.now() + _LEAST))
    if len(_known) > _MOST:
        _known.popitem(last=False)
    return forms


def _forget_spent() -> frozenset[str]:
    """The forms of secrets that are worth nothing any more, which are known no longer. The caller holds the lock."""
    now = SYSTEM_CLOCK.now()
    spent = [secret for secret, known in _known.items() if known.until < now]
    return frozenset(form for secret in spent for form in _known.pop(secret).forms)


def _unmask(forms: frozenset[str]) -> None:
    """Take ``forms`` out of what Airflow compiles next. It offers no way to; where it looks different, nothing happens."""
    patterns = {re.escape(form) for form in forms}
    for name in _AIRFLOWS_MASKERS if patterns else ():
        masker: Any = getattr(sys.modules.get(name), "_secrets_masker", lambda: None)()
        known = getattr(masker, "patterns", None)
        if isinstance(known, set):
            # Not in place: another thread may be going through them to compile. What it adds meanwhile is kept.
            masker.patterns = left = known - patterns
            left |= known - patterns


def known_secrets() -> dict[str, tuple[str, ...]]:
    """Every secret that was masked, with the forms it may show up in."""
    with _lock:
        return {secret: known.forms for secret, known in _known.items()}


def token_secrets(token: Token) -> tuple[str, ...]:
    """What of ``token`` must never be shown."""
    return (token.access_token, token.dpop_key, token.proof)


class MaskedTokens(TokenSource):
    """A token source whose tokens are masked before anybody else sees them."""

    def __init__(self, source: TokenSource) -> None:
        self._source = source
        self._last: Token | None = None

    def token(self) -> Token:
        """A usable token; see ``TokenSource.token``."""
        return self._masked(self._source.token())

    def refused(self, access_token: str) -> Token:
        """A token other than the refused one; see ``TokenSource.refused``."""
        return self._masked(self._source.refused(access_token))

    def _masked(self, token: Token) -> Token:
        # Called for every request: a token that was seen last time costs one comparison.
        if token is not self._last:
            ends = math.inf if token.expires_at is None else token.expires_at + _LEAST
            mask([token.access_token, token.proof], until=ends)
            mask([token.dpop_key])
            self._last = token
        return token
