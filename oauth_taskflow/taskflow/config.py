"""Reads Airflow's configuration: where tokens are kept and with which keys, the key of hashes, where presets are."""

from __future__ import annotations

import math
from pathlib import Path

from oauth_taskflow import secret_registry
from oauth_taskflow.errors import (
    ConnectionConfigError,
    OAuthTaskflowError,
    SpecError,
    TokenStoreError,
)
from oauth_taskflow.taskflow import log_masking
from oauth_taskflow.taskflow.processes import in_task
from oauth_taskflow.taskflow.processes.executors import find_distributed_executors

# The value in the task SDK's configuration while a key is not set.
_NO_KEY_YET = "{FERNET_KEY}"
_SHORTEST_HASH_KEY = 16


def store_url() -> str:
    """Returns ``[oauth_taskflow] token_store``, by default a SQLite file in ``$AIRFLOW_HOME``."""
    from airflow.providers.common.compat.sdk import conf  # noqa: PLC0415 - run time only

    configured = conf.get("oauth_taskflow", "token_store", fallback="")
    return (configured or "").strip() or f"sqlite:///{_airflow_home() / 'oauth_taskflow.db'}"


def watermark_store_url() -> str:
    """Returns ``[oauth_taskflow] watermark_store``; empty if it is not configured."""
    from airflow.providers.common.compat.sdk import conf  # noqa: PLC0415 - run time only

    return (conf.get("oauth_taskflow", "watermark_store", fallback="") or "").strip()


def budget_store_url() -> str:
    """Returns ``[oauth_taskflow] budget_store``; empty if it is not configured."""
    from airflow.providers.common.compat.sdk import conf  # noqa: PLC0415 - run time only

    return (conf.get("oauth_taskflow", "budget_store", fallback="") or "").strip()


def is_broker_configured() -> bool:
    """Whether ``[secrets] backend`` is the broker: then the API server refreshes, and no task opens the token store."""
    from airflow.providers.common.compat.sdk import conf  # noqa: PLC0415 - run time only

    backend = conf.get("secrets", "backend", fallback="") or ""
    return backend.strip().endswith(".OAuthBroker")


def _airflow_home() -> Path:
    from airflow.configuration import AIRFLOW_HOME  # noqa: PLC0415 - run time only

    return Path(AIRFLOW_HOME)


def fernet_keys() -> tuple[str, ...]:
    """Returns Airflow's Fernet key ring (``[core] fernet_key``), newest first.

    Raises:
        TokenStoreError: Airflow does not have a key: tokens are never stored in clear.
    """
    from airflow.providers.common.compat.sdk import conf  # noqa: PLC0415 - run time only

    ring = conf.get("core", "fernet_key", fallback="") or ""
    if ring == _NO_KEY_YET:
        # If the machine of each task made its own key, it would lock the others out; a script or command may make one.
        ring = "" if in_task() else _key_of_new_installation()
    keys = tuple(key.strip() for key in ring.split(",") if key.strip())
    if not keys:
        raise TokenStoreError(
            "Tokens cannot be encrypted",
            where="because [core] fernet_key is empty",
            hint="Set AIRFLOW__CORE__FERNET_KEY to the same value on every machine that runs tasks.",
        )
    return keys


def _key_of_new_installation() -> str:
    """Writes ``airflow.cfg`` with a new key if it does not exist, as every ``airflow`` command does, and returns the key."""
    from airflow.configuration import (  # noqa: PLC0415 - run time only
        write_default_airflow_configuration_if_needed,
    )

    return write_default_airflow_configuration_if_needed().get("core", "fernet_key") or ""


def find_other_machines(url: str) -> list[str]:
    """Returns the executors whose tasks would not see the store at ``url``; none for a database that all share."""
    return find_distributed_executors() if url.startswith("sqlite") else []


def refuse_local_rotation(conn_id: str, url: str) -> None:
    """Refuses to keep a rotating refresh token in a file that other machines do not see.

    Each machine would refresh the same single-use token, and the second use revokes the whole consent
    (RFC 9700 §4.14). Executors that are not known to stay on one machine count as distributed.

    Raises:
        ConnectionConfigError: the token store is SQLite and an executor is distributed.
    """
    distributed = find_other_machines(url)
    if not distributed:
        return
    raise ConnectionConfigError(
        f"A refresh token cannot be kept in a SQLite file under {', '.join(distributed)}, because workers on other "
        "machines would use it a second time and so revoke it",
        conn_id=conn_id,
        field="refresh_token",
        hint="Set [oauth_taskflow] token_store to a database that all workers share, as in "
        "postgresql+psycopg://user@host/db, or use broker mode, in which only the API server refreshes (docs/broker.md).",
    )


def longest_wait() -> float:
    """Returns ``[oauth_taskflow] longest_wait``: the seconds that an endpoint task waits with its worker slot, by default 60.

    Raises:
        OAuthTaskflowError: it is not a number above 0.
    """
    from airflow.providers.common.compat.sdk import conf  # noqa: PLC0415 - run time only

    text = (conf.get("oauth_taskflow", "longest_wait", fallback="") or "").strip()
    try:
        seconds = float(text or 60.0)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds < math.inf:
        raise OAuthTaskflowError(
            f"[oauth_taskflow] longest_wait is {text!r}", hint="Write seconds, such as 60."
        )
    return seconds


def presets_folder() -> Path | None:
    """Returns ``[oauth_taskflow] presets_folder``, not checked; None if it is not configured."""
    from airflow.providers.common.compat.sdk import conf  # noqa: PLC0415 - run time only

    configured = (conf.get("oauth_taskflow", "presets_folder", fallback="") or "").strip()
    return Path(configured).expanduser() if configured else None


def spec_cache_folder() -> Path | None:
    """Returns ``[oauth_taskflow] spec_cache``, the folder for checked specs; None if it is not configured."""
    from airflow.sdk.configuration import conf  # noqa: PLC0415 - a parse has loaded it already

    configured = (conf.get("oauth_taskflow", "spec_cache", fallback="") or "").strip()
    return Path(configured).expanduser() if configured else None


def spec_index_folder() -> Path:
    """Returns where load_specs keeps which file has which DAG: ``spec_cache``, or else a folder in ``$AIRFLOW_HOME``."""
    return spec_cache_folder() or _airflow_home() / "oauth_taskflow_index"


def hash_key() -> str | None:
    """Returns ``[oauth_taskflow] hash_key``, the key of ``fields.hash``; None if it is not configured. It is kept out of logs.

    Raises:
        SpecError: it is too short to keep a secret, or is one of Airflow's Fernet keys.
    """
    from airflow.providers.common.compat.sdk import conf  # noqa: PLC0415 - run time only

    key = (conf.get("oauth_taskflow", "hash_key", fallback="") or "").strip()
    if not key:
        return None
    log_masking.install()
    secret_registry.add([key])
    fernet = conf.get("core", "fernet_key", fallback="") or ""
    if key in {each.strip() for each in fernet.split(",")}:
        raise SpecError(
            [
                "[oauth_taskflow] hash_key is one of Airflow's Fernet keys. Use a separate secret: Fernet keys are rotated, "
                "and hashes must stay the same."
            ]
        )
    if len(key) < _SHORTEST_HASH_KEY:
        raise SpecError(
            [
                f"[oauth_taskflow] hash_key has fewer than {_SHORTEST_HASH_KEY} characters, so that it can be guessed, and with "
                "it what was hashed. Take a random one: python -c 'import secrets; print(secrets.token_urlsafe(32))'."
            ]
        )
    return key
