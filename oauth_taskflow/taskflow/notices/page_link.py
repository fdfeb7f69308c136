"""Links in notices to the page about connections in Airflow's UI."""

from __future__ import annotations

from urllib.parse import quote

from oauth_taskflow.taskflow.page.places import UI_ROUTE, base_url

# Where people consent; nothing begins before they press a button there.
_ASKING = frozenset({"needs_consent", "consent_due"})


def link_to_connection(conn_id: str, kind: str) -> str:
    """Returns the address of the page for a notice of that ``kind``, below ``[api] base_url`` or Airflow's own default."""
    base = (base_url() or "http://localhost:8080").rstrip("/")
    name = quote(conn_id, safe="")
    return f"{base}{UI_ROUTE}/connect/{name}" if kind in _ASKING else f"{base}{UI_ROUTE}?q={name}"
