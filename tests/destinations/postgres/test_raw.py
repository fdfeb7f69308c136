"""Layout ``raw``: whole records in one jsonb column, replaced or appended run by run."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from oauth_taskflow.api.decoders.numbers import encode
from oauth_taskflow.destinations.base import EndpointFacts, Run
from oauth_taskflow.destinations.postgres.place import read_uri
from oauth_taskflow.errors import ApiError, DestinationError
from tests.destinations.postgres.tables import Warehouse, ids, summary
from tests.support.examples import examples


def raw(*records: Any) -> list[msgspec.Raw]:
    return [msgspec.Raw(json.dumps(record).encode()) for record in records]


def test_a_row_holds_the_record_and_says_which_run_wrote_it(warehouse: Warehouse) -> None:
    warehouse.pull([[{"id": 1, "path": "C:\\new\tline\n", "n": 9007199254740993}]])
    columns = "record, _dag_id, _endpoint, _run_id, _map_index, _loaded_at IS NOT NULL"
    assert warehouse.ask(f'SELECT {columns} FROM "{warehouse.schema}".contacts') == [
        (
            {"id": 1, "path": "C:\\new\tline\n", "n": 9007199254740993},
            *("crm", "contacts", "r1", -1, True),
        )
    ]


def test_a_run_replaces_its_own_rows_and_no_others(warehouse: Warehouse) -> None:
    warehouse.pull([ids(3)])
    warehouse.pull([ids(2)], run="r2")
    warehouse.pull([ids(4)], dag_id="shop")
    warehouse.pull([ids(5)], map_index=0)
    warehouse.pull([ids(1, again=True)])
    rows = warehouse.ask(
        f'SELECT _dag_id, _run_id, _map_index, count(*) FROM "{warehouse.schema}".contacts '
        "GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
    assert rows == [
        ("crm", "r1", -1, 1),
        ("crm", "r1", 0, 5),
        ("crm", "r2", -1, 2),
        ("shop", "r1", -1, 4),
    ]


def test_a_run_without_records_is_committed_and_empties_its_place(warehouse: Warehouse) -> None:
    warehouse.pull([ids(3)])
    output = warehouse.pull([[]])
    destination = warehouse.destination()
    (part,) = destination.describe(output).parts
    assert (part.rows, list(destination.read(part.path, 0, 0))) == (0, [])
    assert warehouse.column("record") == []
    assert (destination.read_manifest(part.path) or {})["rows"] == 0


def test_an_appended_run_stays_once_and_never_loses_a_row(warehouse: Warehouse) -> None:
    for _ in range(2):
        warehouse.pull([ids(3)], mode="append")
    warehouse.pull([ids(3)], mode="append", run="r2")
    assert len(warehouse.column("record")) == 6
    with pytest.raises(DestinationError) as caught:
        warehouse.pull([ids(4)], mode="append")
    assert str(caught.value) == (
        "This run appended its records already, and now read others; append never replaces rows "
        f"at {warehouse.schema}.contacts, run r1. Write mode: replace_run, or trigger a new run."
    )
    assert len(warehouse.column("record")) == 6
    assert warehouse.stages() == []


@pytest.mark.parametrize(
    ("record", "what"),
    [
        ({"id": 2, "a": {"b": ["x", "y\0z"]}}, "a NUL character in a.b[1]"),
        ({"id": 2, "a\0": 1}, "a NUL character in the name of a field"),
        ({"id": 2, "a": "\\\\\0"}, "a NUL character in a"),
        ({"id": 2, "half": "\ud83d"}, "half a surrogate pair in half"),
    ],
)
def test_text_that_jsonb_cannot_hold_is_named_or_stripped(
    warehouse: Warehouse, record: Any, what: str
) -> None:
    pages = [raw({"id": 0}, {"id": 1, "fine": "\\u0000 \U0001f600"}), raw(record)]
    with pytest.raises(DestinationError) as caught:
        warehouse.pull(pages)
    assert str(caught.value) == (
        f"Record 3 has {what}, which jsonb cannot hold at {warehouse.schema}.contacts, run r1. Write nul: strip, which "
        "removes NUL and replaces half pairs by U+FFFD, or drop the field with fields."
    )
    assert warehouse.column("record") == []
    warehouse.pull(pages, nul="strip")
    _, second, third = warehouse.column("record")
    assert second["fine"] == "\\u0000 \U0001f600"
    assert third == json.loads(
        json.dumps(record).replace("\\u0000", "").replace("\\ud83d", "\ufffd")
    )


def exact(text: str) -> Any:
    """Reads JSON whose numbers compare by their digits."""
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@examples(0.5, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=st.lists(st.dictionaries(st.text(), JSON, max_size=4), min_size=1, max_size=5))
def test_what_is_read_back_is_what_was_written(warehouse: Warehouse, records: list[Any]) -> None:
    output = warehouse.pull([raw(*records)], nul="strip")
    destination = warehouse.destination()
    (part,) = destination.describe(output).parts
    found = list(destination.read(part.path, 0, len(records)))
    assert len(found) == len(records)
    text = json.dumps(records)
    if "\\u0000" not in text:
        assert exact(encode(found).decode()) == exact(text)


def test_a_record_of_ten_megabytes_passes(warehouse: Warehouse) -> None:
    text = "é\\\t" * 2_500_000
    warehouse.pull([[{"id": 1, "text": text}]])
    assert warehouse.column("length(record ->> 'text')") == [len(text)]


def test_large_output_is_staged_and_keeps_its_order(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oauth_taskflow.destinations.postgres.staging._MOST_FILE_BYTES", 10_000)
    pages = [[{"id": page * 100 + n, "text": "x" * 30} for n in range(100)] for page in range(12)]
    warehouse.pull(pages)
    assert warehouse.column("record -> 'id'") == list(range(1200))
    assert warehouse.stages() == []


def test_an_aborted_writer_leaves_nothing(warehouse: Warehouse) -> None:
    destination = warehouse.destination()
    writer = destination.open(Run("contacts", "r1", dag_id="crm"))
    writer.write(ids(3))
    writer._staged.flush()
    assert len(warehouse.stages()) == 1
    writer.abort()
    writer.abort()
    assert (warehouse.stages(), warehouse.column("record")) == ([], [])


def test_rows_that_another_run_removed_are_missed(warehouse: Warehouse) -> None:
    output = warehouse.pull([ids(3)])
    destination = warehouse.destination()
    (part,) = destination.describe(output).parts
    warehouse.ask(f"DELETE FROM \"{warehouse.schema}\".contacts WHERE record ->> 'id' = '2'")
    with pytest.raises(ApiError, match="Records of the parent endpoint are gone"):
        list(destination.read(part.path, 0, 3))
    destination.remove_stale({})
    with pytest.raises(ApiError, match="are gone"):
        list(destination.read(part.path, 0, 1))


def test_a_database_without_any_output_has_none_that_is_stale(warehouse: Warehouse) -> None:
    assert warehouse.destination().remove_stale({}) == 0


def test_merged_rows_stay_when_their_task_instance_is_stale(warehouse: Warehouse) -> None:
    options: dict[str, Any] = {"facts": EndpointFacts(("id",)), "mode": "merge"}
    for number in range(2):
        warehouse.pull([[{"id": number}]], map_index=number, **options)
    destination = warehouse.destination(**options)
    assert destination.remove_stale({0: None}) == 1
    assert destination.remove_stale({0: None}) == 0
    assert len(warehouse.ask(f"SELECT 1 FROM {warehouse.schema}.contacts")) == 2


@pytest.mark.parametrize(
    "uri", ["s3://bucket/part", "postgres://h:5432/db/s/t", "postgres://h/t#a=b"]
)
def test_a_text_that_names_no_output_is_one_clear_error(uri: str) -> None:
    with pytest.raises(DestinationError, match="not the URI of an output in PostgreSQL"):
        read_uri(uri)


def test_no_transaction_stays_open_while_a_child_works_on_its_parents(warehouse: Warehouse) -> None:
    output = warehouse.pull([ids(30)])
    destination = warehouse.destination()
    (part,) = destination.describe(output).parts
    records = destination.read(part.path, 0, 30)
    assert next(records) == {"id": 0}
    # Nothing holds the table.
    warehouse.ask(f"DROP TABLE {warehouse.schema}.contacts")
    assert len(list(records)) == 29


def test_many_records_are_fetched_in_batches(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oauth_taskflow.destinations.postgres.destination._AT_ONCE", 10)
    monkeypatch.setattr("oauth_taskflow.destinations.postgres.destination._FETCHED", 7)
    output = warehouse.pull([ids(30)])
    destination = warehouse.destination()
    (part,) = destination.describe(output).parts
    assert list(destination.read(part.path, 3, 20)) == ids(30)[3:23]


def test_the_uri_names_the_table_and_the_run_without_credentials(warehouse: Warehouse) -> None:
    output = warehouse.pull([ids(1)], run="manual__2026-01-01T00:00:00+00:00")
    described = warehouse.destination().describe(output)
    place = f"postgres://127.0.0.1:{warehouse.found.port}/postgres/{warehouse.schema}/contacts"
    assert described.dataset == place
    assert (
        described.manifest
        == described.parts[0].path
        == (
            f"{place}#dag_id=crm&endpoint=contacts&run_id=manual__2026-01-01T00%3A00%3A00%2B00%3A00&map_index=-1"
        )
    )
    assert described.conn_id == "warehouse"


def test_the_manifest_is_in_the_register_once_the_output_is_committed(warehouse: Warehouse) -> None:
    destination, run = (
        warehouse.destination(),
        Run("contacts", "r1", {"first_run": True}, dag_id="crm"),
    )
    place = destination.locate_manifest(run)
    assert destination.read_manifest(place.path) is None
    writer = destination.open(run)
    writer.write(ids(2))
    assert destination.read_manifest(place.path) is None
    moves = {"token": "t\0", "moves": []}
    writer.commit(summary(2, watermarks=moves))
    manifest = destination.read_manifest(place.path)
    wanted = {"rows": 2, "watermarks": moves, "first_run": True, "layout": "raw", "dag_id": "crm"}
    assert {key: manifest[key] for key in wanted} == wanted


def test_a_table_of_others_gets_the_technical_columns(warehouse: Warehouse) -> None:
    schema = warehouse.schema
    warehouse.ask(f"CREATE SCHEMA {schema}")
    warehouse.ask(f"CREATE TABLE {schema}.contacts (payload jsonb, note text DEFAULT 'n')")
    warehouse.ask(f"INSERT INTO {schema}.contacts VALUES ('{{}}')")
    warehouse.pull([ids(1)], record_column="payload")
    assert warehouse.column("payload") == [{}, {"id": 0}]
    assert warehouse.column("_run_id") == [None, "r1"]
    with pytest.raises(DestinationError, match="Column 'note' of layout raw must be jsonb"):
        warehouse.pull([ids(1)], record_column="note")
    warehouse.ask(f"CREATE VIEW {schema}.seen AS SELECT 1 AS one")
    with pytest.raises(DestinationError, match="There is a view, or something else"):
        warehouse.pull([ids(1)], table=f"{schema}.seen")
