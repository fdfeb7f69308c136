"""Notifies people of drift: the schema of an endpoint's records is not that of the run before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from oauth_taskflow.contracts.options import read_contract
from oauth_taskflow.notices.notice import Notice, clean_text
from oauth_taskflow.specs.model import Endpoint
from oauth_taskflow.taskflow.notices.delivery import send_notice

_MOST_CHANGES = 50


def announce_drift(
    name: str, endpoint: Endpoint, drift: Sequence[str], context: Mapping[str, Any], log: Any
) -> None:
    """Calls the notifier of the endpoint's contract, else ``[oauth_taskflow] schema_notifier``, if there is drift.

    Its context has ``endpoint`` and ``schema_drift``, and ``notice`` for templates. A notifier that fails is a warning.
    """
    path = _find_notifier(endpoint) if drift else ""
    if not path:
        return
    notice = build_drift_notice(name, drift, context)
    try:
        send_notice(path, notice, {**context, "endpoint": name, "schema_drift": list(drift)})
    # The notifier is the deployment's own code.
    except Exception as error:  # noqa: BLE001
        log.warning(
            "%s: the schema notifier %s failed (%s: %s)",
            *(name, path, type(error).__name__, clean_text(str(error))[:200]),
        )


def _find_notifier(endpoint: Endpoint) -> str:
    from airflow.providers.common.compat.sdk import conf  # noqa: PLC0415 - loads configuration

    contract = endpoint.contract
    own = read_contract(contract).notifier if contract is not None else None
    return own or conf.get("oauth_taskflow", "schema_notifier", fallback="") or ""


def build_drift_notice(name: str, drift: Sequence[str], context: Mapping[str, Any]) -> Notice:
    """Returns the notice of ``drift`` of the endpoint ``name``, with a link to the log of the task."""
    dag_id = getattr(context.get("dag"), "dag_id", "")
    more = len(drift) - _MOST_CHANGES
    changes = [clean_text(change) for change in drift[:_MOST_CHANGES]]
    return Notice(
        kind="schema_drift",
        title=clean_text(f"The schema of {dag_id}.{name} changed since the run before"),
        details=(*changes, *([f"and {more} more"] if more > 0 else [])),
        link=str(getattr(context.get("ti"), "log_url", "") or ""),
    )
