"""The link of a task that got no token: to the page that connects again.

Airflow asks for each link once a task has ended, in the task's process, and keeps it as an XCom
(https://airflow.apache.org/docs/apache-airflow/stable/howto/define-extra-link.html).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

from oauth_taskflow.errors import TokenEndpointUnavailable, TokenRequestError
from oauth_taskflow.taskflow.page.places import ui_url
from oauth_taskflow.taskflow.retry_policy import find_error


def find_links(operator: Any) -> dict[str, str] | None:
    """The addresses of links by name that ``operator`` found; None until it ran, and for mapped operators."""
    found: dict[str, str] | None = getattr(operator, "found_links", None)
    return found


class FoundLink(BaseOperatorLink):
    """A link whose address the operator found while it ran; empty where it failed before it could begin."""

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 - Airflow's signature
        """Returns the address."""
        return (find_links(operator) or {}).get(self.name, "")


class ReconnectLink(FoundLink):
    """Leads to the page that connects again, after a failure to get a token."""

    @property
    def name(self) -> str:
        """The text of the button."""
        return "Reconnect"

    @property
    def xcom_key(self) -> str:
        """The key under which Airflow keeps the address."""
        return "oauth_taskflow_reconnect"


def make_links(*links: BaseOperatorLink) -> Any:
    """Returns the property ``operator_extra_links`` of an operator that keeps addresses by name in ``found_links``.

    Until the task ran, all ``links`` are declared. Afterwards those that led nowhere are left out, because Airflow keeps
    each as an XCom.
    """

    def list_links(operator: Any) -> Collection[BaseOperatorLink]:
        found = find_links(operator)
        return links if found is None else [link for link in links if link.name in found]

    return property(list_links)


RECONNECT_LINKS = make_links(ReconnectLink())


class KeepReconnect:
    """Sets ``found_links`` of ``operator`` after a failure in its block, as ``find_reconnect`` finds them.

    A class, because ``contextlib`` would restore the whole traceback of the exception.
    """

    def __init__(self, operator: Any, conn_ids: Collection[str]) -> None:
        self._operator, self._conn_ids = operator, conn_ids

    def __enter__(self) -> None:
        """Forgets the links of an earlier block."""
        self._operator.found_links = {}

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Keeps the link, and lets ``error`` pass."""
        if isinstance(error, Exception):
            self._operator.found_links = find_reconnect(error, self._conn_ids)


def find_reconnect(error: BaseException, conn_ids: Collection[str]) -> dict[str, str]:
    """Returns the link after ``error``, by name; none if no consent or setting would have helped.

    With several connections it leads to the list of them, which says what is wrong with each.
    """
    found = find_error(error)
    if not isinstance(found, TokenRequestError) or isinstance(found, TokenEndpointUnavailable):
        return {}
    (conn_id, *others) = dict.fromkeys(conn_ids)
    return {"Reconnect": ui_url("" if others else f"/connect/{quote(conn_id, safe='')}")}
