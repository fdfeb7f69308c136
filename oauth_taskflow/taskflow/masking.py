"""Secrets of this process: told to Airflow's log masker, remembered for the guard at XCom.

Masking is the second line: messages of this package hold no secret in the first place. It catches what the author of a
task prints.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from oauth_taskflow.oauth.token import Token, TokenSource
from oauth_taskflow.redaction import REDACTED, redact_text, secret_forms

# A task sees a handful; the bound keeps a process that lives for weeks from growing.
_MOST = 512
_known: OrderedDict[str, tuple[str, ...]] = OrderedDict()
_lock = threading.Lock()
# They log whole URLs, with the keys, secrets and tokens that some servers want in the query.
_WIRE_LOGGERS = ("urllib3.connectionpool", "httpx")


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


def mask(secrets: Iterable[str]) -> None:
    """Hide ``secrets`` in every form (``secret_forms``), in everything that Airflow logs from now on.

    Airflow itself leaves values shorter than five characters alone, and masks nothing of a ``dag.test()`` run
    (https://airflow.apache.org/docs/apache-airflow/stable/security/secrets/mask-sensitive-values.html).
    """
    from airflow.sdk.log import mask_secret  # noqa: PLC0415 - run time only

    for name in _WIRE_LOGGERS:
        logging.getLogger(name).addFilter(_without_secrets)  # one that is there already is kept
    new: list[str] = []
    for secret in secrets:
        with _lock:
            if not secret or secret in _known:
                continue
            forms = _known[secret] = tuple(secret_forms(secret))
            if len(_known) > _MOST:
                _known.popitem(last=False)
        new += forms
    if new:
        # Airflow compiles one pattern of all it knows anew for each form, here and again in the task's supervisor: the
        # long ones come last. Without a name: with one, only telling names are masked.
        ordered: list[Any] = sorted(new, key=len)
        mask_secret(ordered)


def known_secrets() -> dict[str, tuple[str, ...]]:
    """Every secret that was masked, with the forms it may show up in."""
    with _lock:
        return dict(_known)


def token_secrets(token: Token) -> tuple[str, ...]:
    """What of ``token`` must never be shown."""
    return (token.access_token, token.dpop_key)


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
            mask(token_secrets(token))
            self._last = token
        return token
