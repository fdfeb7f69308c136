"""Hides announced secrets from logs: by Airflow's secrets masker, and by a filter on loggers that print whole URLs."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Sequence
from typing import Any

from oauth_taskflow import secret_registry
from oauth_taskflow.redaction import REDACTED, redact_text
from oauth_taskflow.taskflow.processes import on_api_server

_AIRFLOW_MASKERS = ("airflow._shared.secrets_masker", "airflow.sdk._shared.secrets_masker")
# They log whole URLs, with the keys, secrets and tokens that some servers want in the query.
_WIRE_LOGGERS = ("urllib3.connectionpool", "urllib3.connection", "urllib3.util.retry", "httpx")


def install() -> None:
    """Hides all secrets that are announced in this process, before and after this call. Repeated calls change nothing."""
    for name in _WIRE_LOGGERS:
        logging.getLogger(name).addFilter(_filter)
    secret_registry.subscribe(_mask_in_airflow)


class _SecretFilter(logging.Filter):
    """Removes announced secrets, and text that looks like a secret, from a record at its source.

    Airflow masks a task's log file only, and not the copy that its LocalExecutor writes to the scheduler's output.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        text = clean = record.getMessage()
        for forms in secret_registry.list_secrets().values():
            for form in forms:
                clean = clean.replace(form, REDACTED)
        clean = redact_text(clean)
        if clean != text:
            record.msg, record.args = clean, ()
        return True


_filter = _SecretFilter()


def _mask_in_airflow(added: Sequence[str], expired: frozenset[str]) -> None:
    """Hides ``added`` in everything that Airflow logs from now on, except on the API server, where no author's code prints.

    Airflow itself ignores values shorter than five characters, and masks nothing of a ``dag.test()`` run
    (https://airflow.apache.org/docs/apache-airflow/stable/security/secrets/mask-sensitive-values.html).
    """
    from airflow.sdk.log import mask_secret  # noqa: PLC0415 - run time only

    if on_api_server():
        return
    _unmask(expired)
    # Airflow compiles one pattern of all secrets again for each form, here and in the task's supervisor: the long ones come
    # last. Without a name, because with one Airflow masks values under sensitive names only.
    ordered: list[Any] = sorted(added, key=len)
    mask_secret(ordered)


def _unmask(forms: frozenset[str]) -> None:
    """Removes ``forms`` from the patterns that Airflow compiles next.

    Airflow has no public way to do so. Where its masker looks different, nothing happens.
    """
    patterns = {re.escape(form) for form in forms}
    for name in _AIRFLOW_MASKERS if patterns else ():
        masker: Any = getattr(sys.modules.get(name), "_secrets_masker", lambda: None)()
        known = getattr(masker, "patterns", None)
        if isinstance(known, set):
            # Not in place: another thread may iterate over them to compile. The patterns that it adds meanwhile are kept.
            masker.patterns = left = known - patterns
            left |= known - patterns
