"""Budgets of one machine, for sessions without a token store: the same ledgers, in a SQLite file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from oauth_taskflow.budgets.keeper import Budgets, BudgetSet
from oauth_taskflow.budgets.sql import SqlBudgetStore, open_budget_store
from oauth_taskflow.errors import ApiError


def budget_folder() -> Path:
    """The folder of the budgets, which belongs to this user alone; created when missing.

    Raises:
        ApiError: another user owns it.
    """
    folder = Path(tempfile.gettempdir()) / f"oauth_taskflow-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise ApiError(
            "The folder for request budgets belongs to another user",
            where=f"at {folder}",
            hint="Remove it, or set TMPDIR to a folder of your own.",
        )
    return folder


def open_local_store() -> SqlBudgetStore:
    """The store of this machine's budgets.

    Raises:
        ApiError: its folder belongs to another user.
    """
    return open_budget_store(f"sqlite:///{budget_folder() / 'budgets.db'}")


def local_budgets(conn_id: str) -> Budgets:
    """The budgets of a session that was opened without a token store; the connection has no other."""
    return Budgets(open_local_store, BudgetSet(conn_id, ()))
