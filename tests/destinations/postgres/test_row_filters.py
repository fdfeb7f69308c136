"""Tables that another tool made: with triggers, rules, policies, partitions, and columns that fill themselves."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_taskflow.destinations.base import EndpointFacts
from oauth_taskflow.errors import DestinationError
from tests.destinations.postgres.tables import Warehouse, ids

KEY = EndpointFacts(("id",))


def refuse_row(warehouse: Warehouse, events: str) -> None:
    """A trigger that lets no row with an even id through."""
    warehouse.ask(
        f"CREATE FUNCTION {warehouse.schema}.odd() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN "
        "IF to_jsonb(coalesce(NEW, OLD))->>'id' IN ('0', '2') THEN RETURN NULL; END IF; RETURN coalesce(NEW, OLD); END$$"
    )
    warehouse.ask(
        f"CREATE TRIGGER odd BEFORE {events} ON {warehouse.schema}.contacts "
        f"FOR EACH ROW EXECUTE FUNCTION {warehouse.schema}.odd()"
    )


@pytest.mark.parametrize("mode", ["append", "replace_run", "merge"])
def test_a_trigger_that_leaves_out_records_fails_the_run(warehouse: Warehouse, mode: str) -> None:
    options: dict[str, Any] = {"mode": mode, "layout": "columns"}
    warehouse.pull([[{"id": 1, "v": 1}]], KEY, **options)
    refuse_row(warehouse, "INSERT OR UPDATE")
    warehouse.pull([[{"id": 3}]], KEY, run="r2", **options)
    with pytest.raises(DestinationError, match="left out 2 of 4 records; nothing was written"):
        warehouse.pull([ids(4)], KEY, run="r3", **options)
    assert warehouse.column("id") == [1, 3]


def test_a_trigger_that_leaves_out_raw_records_fails_the_run(warehouse: Warehouse) -> None:
    warehouse.pull([ids(1)])
    warehouse.ask(
        f"CREATE FUNCTION {warehouse.schema}.none() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
    )
    warehouse.ask(
        f"CREATE TRIGGER none BEFORE INSERT ON {warehouse.schema}.contacts "
        f"FOR EACH ROW EXECUTE FUNCTION {warehouse.schema}.none()"
    )
    with pytest.raises(DestinationError, match="left out 2 of 2 records; nothing was written"):
        warehouse.pull([ids(2)], run="r2")
    assert warehouse.column("record") == [{"id": 0}]


def test_a_merge_counts_older_records_as_taken_where_there_is_a_trigger(
    warehouse: Warehouse,
) -> None:
    facts = EndpointFacts(("id",), order_field="n")
    options: dict[str, Any] = {"mode": "merge", "layout": "columns"}
    warehouse.pull([[{"id": 1, "n": 5}]], facts, **options)
    refuse_row(warehouse, "INSERT OR UPDATE")
    warehouse.pull([[{"id": 1, "n": 4}, {"id": 3, "n": 1}]], facts, run="r2", **options)
    assert sorted(warehouse.column("n")) == [1, 5]


@pytest.mark.parametrize("layout", ["raw", "columns"])
def test_a_trigger_or_rule_that_keeps_rows_of_an_earlier_try_fails_the_run(
    warehouse: Warehouse, layout: str
) -> None:
    warehouse.pull([ids(3)], layout=layout)
    warehouse.ask(
        f"CREATE RULE kept AS ON DELETE TO {warehouse.schema}.contacts DO INSTEAD NOTHING"
    )
    with pytest.raises(DestinationError, match="keeps rows of an earlier try of this run"):
        warehouse.pull([ids(3)], layout=layout)
    assert len(warehouse.column("1")) == 3


@pytest.mark.parametrize("layout", ["raw", "columns"])
def test_a_trigger_that_writes_rows_for_another_run_fails_the_run(
    warehouse: Warehouse, layout: str
) -> None:
    warehouse.pull([ids(1)], run="r0", layout=layout)
    warehouse.ask(
        f"CREATE FUNCTION {warehouse.schema}.rename() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN NEW._run_id := 'other'; RETURN NEW; END$$"
    )
    warehouse.ask(
        f"CREATE TRIGGER rename BEFORE INSERT ON {warehouse.schema}.contacts "
        f"FOR EACH ROW EXECUTE FUNCTION {warehouse.schema}.rename()"
    )
    with pytest.raises(DestinationError, match="writes 3 of 3 records as those of another run"):
        warehouse.pull([ids(3)], layout=layout)
    assert warehouse.column("_run_id") == ["r0"]
    warehouse.pull([ids(3)], layout=layout, mode="append", run="r2")


def give_policy(warehouse: Warehouse, postgres_url: str, *policies: str) -> Warehouse:
    """The same tables for a login that is under row level security."""
    role = f"login_{warehouse.schema}"
    warehouse.pull([ids(1)], layout="columns")
    for statement in (
        f"CREATE ROLE {role} LOGIN",
        f"GRANT ALL ON SCHEMA {warehouse.schema} TO {role}",
        f"GRANT ALL ON ALL TABLES IN SCHEMA {warehouse.schema} TO {role}",
        f"ALTER TABLE {warehouse.schema}.contacts ENABLE ROW LEVEL SECURITY",
        *(
            f"CREATE POLICY p{number} ON {warehouse.schema}.contacts {policy}"
            for number, policy in enumerate(policies)
        ),
    ):
        warehouse.ask(statement)
    return Warehouse(postgres_url, warehouse.schema, login=role)


@pytest.mark.parametrize(
    "policies",
    [
        ["USING (id < 1) WITH CHECK (true)"],
        ["FOR INSERT WITH CHECK (true)", "FOR SELECT USING (true)"],
        ["USING (true)", "AS RESTRICTIVE USING (id < 1)"],
    ],
)
def test_rows_that_a_policy_may_hide_are_not_replaced(
    warehouse: Warehouse, postgres_url: str, policies: list[str]
) -> None:
    other = give_policy(warehouse, postgres_url, *policies)
    with pytest.raises(DestinationError, match="Row level security may hide rows"):
        other.pull([ids(2)], layout="columns", run="r2")
    assert warehouse.column("id") == [0]


def test_a_policy_for_all_rows_is_enough(warehouse: Warehouse, postgres_url: str) -> None:
    other = give_policy(warehouse, postgres_url, "FOR ALL USING (true)")
    for _ in range(2):
        other.pull([ids(2)], layout="columns", run="r2")
    assert warehouse.column("id") == [0, 0, 1]


@pytest.mark.parametrize("mode", ["append", "replace_run", "merge"])
def test_a_partitioned_table_gets_its_technical_columns(warehouse: Warehouse, mode: str) -> None:
    warehouse.ask(f"CREATE SCHEMA {warehouse.schema}")
    table = f"{warehouse.schema}.contacts"
    warehouse.ask(f"CREATE TABLE {table} (id bigint) PARTITION BY RANGE (id)")
    warehouse.ask(f"CREATE TABLE {table}_1 PARTITION OF {table} FOR VALUES FROM (0) TO (3)")
    for _ in range(2):
        warehouse.pull([ids(3)], KEY, layout="columns", mode=mode)
    assert warehouse.column("id") == [0, 1, 2]
    with pytest.raises(DestinationError, match="a partitioned table needs a partition"):
        warehouse.pull([[{"id": 4}]], KEY, layout="columns", mode=mode, run="r2")
    assert warehouse.column("id") == [0, 1, 2]


@pytest.mark.parametrize(
    ("column", "hint"),
    [
        ("v bigint GENERATED ALWAYS AS (id * 2) STORED", "The table makes the values"),
        ("v bigint GENERATED ALWAYS AS IDENTITY", "The table numbers its rows by itself"),
        ("v bigint UNIQUE", "mode: merge with primary_key"),
        ("w text NOT NULL DEFAULT 'x', ADD COLUMN v bigint NOT NULL", "must have a value"),
    ],
)
def test_a_column_with_a_condition_of_its_own_says_what_to_do(
    warehouse: Warehouse, column: str, hint: str
) -> None:
    warehouse.pull([ids(1)], layout="columns", mode="append")
    warehouse.ask(f"DELETE FROM {warehouse.schema}.contacts")
    warehouse.ask(f"ALTER TABLE {warehouse.schema}.contacts ADD COLUMN {column}")
    records = [{"id": 1, "v": 5}, {"id": 2, "v": 5}]
    records += [{"id": 3}] if "NOT NULL" in column else []
    with pytest.raises(DestinationError) as error:
        warehouse.pull([records], layout="columns", run="r2")
    assert hint in str(error.value)
    assert warehouse.column("id") == []
