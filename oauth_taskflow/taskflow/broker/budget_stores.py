"""Where the request budgets of a connection are kept: in a database that all workers reach, or with the broker.

Sessions load this module for connections and specs that state a budget.
"""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any

from oauth_taskflow.budgets.connection_store import ConnectionBudgetStore
from oauth_taskflow.budgets.local import open_local_store
from oauth_taskflow.budgets.sql import open_budget_store
from oauth_taskflow.budgets.store import BudgetStore
from oauth_taskflow.connections.settings import BrokeredSettings, ConnectionSettings
from oauth_taskflow.taskflow.broker.budget_client import BrokerBudgetStore
from oauth_taskflow.taskflow.config import budget_store_url, is_broker_configured, store_url
from oauth_taskflow.taskflow.processes import in_task
from oauth_taskflow.taskflow.processes.executors import find_distributed_executors

_log = logging.getLogger(__name__)


def budget_store_for(settings: ConnectionSettings) -> BudgetStore:
    """The store of request budgets: the configured one, else the broker, else the token store.

    Raises:
        TokenStoreError: the URL is unusable.
    """
    url = budget_store_url()
    if not url and (isinstance(settings.auth, BrokeredSettings) or is_broker_configured()):
        return _ask_broker_for(settings.conn_id) if in_task() else open_shared_budgets(settings)
    url = url or store_url()
    if url.startswith("sqlite") and (distributed := find_distributed_executors()):
        _warn_of_own_budgets(settings.conn_id, ", ".join(distributed))
    return open_budget_store(url)


@lru_cache(maxsize=1024)
def _ask_broker_for(conn_id: str) -> BrokerBudgetStore:
    """The store that asks the broker; with an API server of an earlier release, a file of this machine."""

    def fall_back() -> BudgetStore:
        _warn_of_own_budgets(conn_id, "broker mode with an API server of an earlier release")
        return open_local_store()

    return BrokerBudgetStore(conn_id, fall_back)


def _warn_of_own_budgets(conn_id: str, mode: str) -> None:
    if conn_id not in _warned:
        _warned.add(conn_id)
        _log.warning(_OWN_BUDGETS, conn_id, mode)


_OWN_BUDGETS = (
    "The request budgets of connection %r are kept by each machine for itself under %s. Set [oauth_taskflow] budget_store to a "
    "database that all workers reach, which holds no secrets, or divide the budgets by the number of machines (docs/budgets.md)."
)
_warned: set[str] = set()


def open_shared_budgets(settings: ConnectionSettings, team: str = "") -> ConnectionBudgetStore:
    """The budgets that tasks of ``team`` on ``settings`` share, for a process that opens the store itself.

    Raises:
        TokenStoreError: the URL of the store is unusable.
    """
    url = budget_store_url() or store_url()
    return _share_budgets(url, settings.conn_id, tuple(settings.budgets), team)


@lru_cache(maxsize=1024)
def _share_budgets(
    url: str, conn_id: str, stated: tuple[Any, ...], team: str
) -> ConnectionBudgetStore:
    return ConnectionBudgetStore(open_budget_store(url), conn_id, stated, team)
