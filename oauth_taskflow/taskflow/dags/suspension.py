"""Long waits of an endpoint task: its progress is kept, and its worker slot is free until the API may be asked again.

The task goes to *up_for_reschedule*, which needs no triggerer, works for mapped tasks and does not count among ``retries``
(https://airflow.apache.org/docs/apache-airflow/stable/core-concepts/sensors.html).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

from oauth_taskflow.engine.progress import Seal
from oauth_taskflow.engine.resume import PullSuspended, ResumeOptions
from oauth_taskflow.errors import TokenStoreError
from oauth_taskflow.specs.model import Endpoint
from oauth_taskflow.taskflow.config import fernet_keys, longest_wait
from oauth_taskflow.tokens.cipher import TokenCipher

# Distinguishes what is sealed here from the grants of the token store.
_ROW, _VERSION = "progress of a pull", 1
# Seconds that a slot is free at least. A scheduler that queues the task again before it has learnt that the last process
# ended takes that news for a failure ("finished with state success, but the task instance's state attribute is queued").
_SHORTEST = 20.0
# Budgets are mostly of a day. A longer wait is more likely a mistake of the API, and its date should be seen.
_UNUSUAL = 172_800.0


def build_resume_options(endpoint: Endpoint) -> ResumeOptions | None:
    """Returns how a task keeps its progress; requests in it are sealed with Airflow's Fernet keys, where tasks have them.

    None for an endpoint with ``resume: false``.
    """
    if not endpoint.resume:
        return None
    return ResumeOptions(seal=_build_seal(), longest_wait=longest_wait())


def _build_seal() -> Seal | None:
    try:
        cipher = TokenCipher(fernet_keys())
    except TokenStoreError:  # in broker mode, tasks need no keys
        return None

    def close(content: bytes) -> bytes:
        return cipher.seal(content.decode(), grant_key=_ROW, version=_VERSION).encode()

    def open_sealed(sealed: bytes) -> bytes:
        return str(cipher.open(sealed.decode(), grant_key=_ROW, version=_VERSION)).encode()

    return Seal(close=close, open=open_sealed)


@contextmanager
def free_slot(name: str, log: Any) -> Iterator[None]:
    """Reschedules the task when its pull is suspended.

    Raises:
        AirflowRescheduleException: the pull goes on at that time.
    """
    try:
        yield
    except PullSuspended as wait:
        from airflow.sdk.exceptions import AirflowRescheduleException  # noqa: PLC0415 - run time only

        seconds = max(wait.retry_after or 0.0, _SHORTEST)
        start = datetime.now(tz=timezone.utc) + timedelta(seconds=seconds)
        log.info("%s: %s", name, wait)
        say = log.warning if seconds > _UNUSUAL else log.info
        say("%s: the worker slot is free until %s", name, start.isoformat(timespec="seconds"))
        raise AirflowRescheduleException(start) from None  # type: ignore[no-untyped-call]  # Airflow's
