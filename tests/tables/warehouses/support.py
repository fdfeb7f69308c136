"""A warehouse as another client sees it, and an Airflow connection of it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.tables.kinds import POSTGRES, Kind, dataset_of

PASSWORD = "hunter2-very-secret"
TABLES = ["_dlt_loads", "_dlt_version", "_oauth_taskflow_runs", "contacts"]


@dataclass
class Connection:
    """An Airflow connection."""

    conn_id: str
    conn_type: str
    host: str | None
    port: int | None
    login: str | None
    password: str | None
    schema: str | None
    extra_dejson: dict[str, Any]


def tables_of(kind: Kind, folder: Path) -> list[str]:
    """All tables of the dataset."""
    query = "SELECT table_name FROM information_schema.tables WHERE table_schema = '{}' ORDER BY 1"
    return [row[0] for row in ask(kind, folder, query)]


def ask(kind: Kind, folder: Path, query: str) -> list[tuple[Any, ...]]:
    """Rows of a query as another client sees them; ``{}`` is the dataset."""
    if kind.name == "dlt-duckdb":
        duckdb = importlib.import_module("duckdb")

        with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
            rows: list[tuple[Any, ...]] = connection.execute(query.format("crm")).fetchall()
            return rows
    import psycopg  # noqa: PLC0415

    with psycopg.connect(POSTGRES[0]) as connection:
        found: list[tuple[Any, ...]] = connection.execute(
            query.format(dataset_of(folder))
        ).fetchall()
        return found
