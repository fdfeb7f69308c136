"""The contract of every destination, in each layout and mode."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_taskflow.destinations.base import EndpointFacts
from oauth_taskflow.destinations.postgres.options import PostgresDestination
from tests.destinations.contract import check_destination
from tests.destinations.postgres.tables import Warehouse, ids


@pytest.mark.parametrize("layout", ["raw", "columns"])
@pytest.mark.parametrize(
    "options",
    [{}, {"mode": "append"}, {"column_prefix": "load%", "work_schema": "work shop"}],
    ids=["replace_run", "append", "other names"],
)
def test_each_layout_and_mode_keeps_the_contract(
    warehouse: Warehouse, layout: str, options: dict[str, Any]
) -> None:
    table = f'{warehouse.schema}.Order "{{{{ endpoint }}}}" 100%'
    check_destination(
        PostgresDestination(conn_id="warehouse", table=table, layout=layout, **options),  # type: ignore[arg-type]
        find_connection=warehouse.access.find_connection,
    )


@pytest.mark.parametrize("layout", ["raw", "columns"])
def test_a_merged_output_is_read_back_whole(warehouse: Warehouse, layout: str) -> None:
    options = {"layout": layout, "mode": "merge"}
    facts = EndpointFacts(("id",))
    output = warehouse.pull([ids(3), ids(5)], facts, **options)
    destination = warehouse.destination(facts, **options)
    (part,) = destination.describe(output).parts
    assert part.rows == 5
    assert sorted(r["id"] for r in destination.read(part.path, 0, 5)) == [0, 1, 2, 3, 4]
