"""Values and records that PostgreSQL would change or cannot hold, in tables of layout ``columns``."""

from __future__ import annotations

import pytest

from oauth_taskflow.errors import DestinationError
from tests.destinations.postgres.tables import Warehouse, ids


@pytest.mark.parametrize("column_type", ["timestamptz", "timestamp", "date"])
@pytest.mark.parametrize("word", ["now", " Today", "yesterday 04:00"])
def test_a_word_for_the_time_of_the_query_is_no_instant(
    warehouse: Warehouse, column_type: str, word: str
) -> None:
    warehouse.pull([ids(1)], layout="columns", mode="append")
    warehouse.ask(f"ALTER TABLE {warehouse.schema}.contacts ADD COLUMN at {column_type}")
    with pytest.raises(DestinationError, match="it would be the time of the query"):
        warehouse.pull([[{"id": 1, "at": word}]], layout="columns", run="r2")
    warehouse.pull([[{"id": 1, "at": "2026-01-31"}]], layout="columns", run="r3")
    assert warehouse.column("at::date::text") == [None, "2026-01-31"]


def test_more_fields_than_columns_say_what_to_do(warehouse: Warehouse) -> None:
    record = {f"field{number}": number for number in range(1600)}
    with pytest.raises(DestinationError, match="1600 columns") as error:
        warehouse.pull([[record]], layout="columns")
    assert "Write layout: raw" in str(error.value)
