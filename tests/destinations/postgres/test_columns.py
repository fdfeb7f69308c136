"""Layout ``columns``: a typed column for each field, which follows the records."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from oauth_taskflow.destinations.base import EndpointFacts, Run
from oauth_taskflow.destinations.postgres.identifiers import quote_name, shorten_name
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.record_schema.model import FieldType, RecordSchema
from tests.destinations.postgres.tables import Warehouse, ids, summary

EVERYTHING = {
    "id": 1,
    "big": 2**63,
    "ratio": 0.5,
    "ok": True,
    "name": "Müller",
    "owner": {"id": 5, "none": None},
    "tags": ["a", None],
    "nothing": None,
}
# More bytes than the name of a column has.
LONG = "of_a_name_that_is_much_longer_than_columns_of_postgresql_may_ever_have"


def read_back(warehouse: Warehouse, output: Any, **options: Any) -> list[Any]:
    destination = warehouse.destination(layout="columns", **options)
    (part,) = destination.describe(output).parts
    return list(destination.read(part.path, 0, part.rows))


def test_each_kind_of_value_has_its_type(warehouse: Warehouse) -> None:
    output = warehouse.pull([[EVERYTHING]], layout="columns")
    assert warehouse.types() == {
        "id": "bigint",
        "big": "numeric",
        "ratio": "double precision",
        "ok": "boolean",
        "name": "text",
        "owner": "jsonb",
        "tags": "jsonb",
    }
    expected = {name: value for name, value in EVERYTHING.items() if name != "nothing"}
    assert read_back(warehouse, output) == [expected]


def test_declared_types_come_first_and_instants_are_read_in_utc(warehouse: Warehouse) -> None:
    declared = RecordSchema(
        {
            "day": FieldType("date"),
            "at": FieldType("timestamp"),
            "amount": FieldType("decimal"),
            "any": FieldType("json"),
            "later": FieldType("integer"),
        }
    )
    facts = EndpointFacts(declared=declared)
    records: list[dict[str, Any]] = [
        {"day": "2026-01-31", "at": "2026-01-31T12:00:00+02:00", "amount": 0.10, "any": 1},
        {"day": None, "at": "2026-01-31T10:00:00.25Z", "amount": 7, "any": "x", "more": 1},
    ]
    output = warehouse.pull([records], facts, layout="columns")
    assert warehouse.types() == {
        "day": "date",
        "at": "timestamp with time zone",
        "amount": "numeric",
        "any": "jsonb",
        "later": "bigint",
        "more": "bigint",
    }
    first, second = read_back(warehouse, output)
    assert first == {
        **records[0],
        "at": "2026-01-31T10:00:00Z",
        "later": None,
        "more": None,
    }
    assert second == {**records[1], "at": "2026-01-31T10:00:00.25Z", "later": None}


def test_instants_before_the_first_year_are_not_read_as_others(warehouse: Warehouse) -> None:
    facts = EndpointFacts(declared=RecordSchema({"at": FieldType("timestamp")}))
    texts = ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"]
    output = warehouse.pull([[{"at": text} for text in texts]], facts, layout="columns")
    found = [record["at"] for record in read_back(warehouse, output, facts=facts)]
    assert found == [texts[0], "0001-12-31 10:00:00+00 BC"]


@pytest.mark.parametrize(
    ("first", "second", "kind", "kept"),
    [
        (1, 1.5, "numeric", [1, 1.5]),
        (2**53 + 1, 1.5, "numeric", [2**53 + 1, 1.5]),
        (0.1, 2**53 + 1, "numeric", [0.1, 2**53 + 1]),
        (0.1, 3, "double precision", [0.1, 3]),
        (1, 2**64, "numeric", [1, 2**64]),
        (1, "x", "jsonb", [1, "x"]),
        ("x", {"a": 1}, "jsonb", ["x", {"a": 1}]),
        (True, 1, "jsonb", [True, 1]),
        ([1], "x", "jsonb", [[1], "x"]),
        (None, 5, "bigint", [None, 5]),
        (5, None, "bigint", [5, None]),
    ],
)
@pytest.mark.parametrize("between", ["pages", "runs"])
def test_a_column_becomes_wider_and_loses_nothing(  # noqa: PLR0917 - parameters
    warehouse: Warehouse, first: Any, second: Any, kind: str, kept: list[Any], between: str
) -> None:
    pages = [[{"id": 1, "v": first}], [{"id": 2, "v": second}]]
    if between == "pages":
        warehouse.pull(pages, layout="columns")
        kind = "double precision" if (first, second) == (1, 1.5) else kind
    else:
        warehouse.pull(pages[:1], layout="columns")
        warehouse.pull(pages[1:], layout="columns", run="r2")
    assert warehouse.types()["v"] == kind
    values = [
        row[0] for row in warehouse.ask(f'SELECT v FROM "{warehouse.schema}".contacts ORDER BY id')
    ]
    assert [float(v) if kind == "numeric" and v < 100 else v for v in values] == kept


def test_names_may_be_reserved_long_or_in_any_script(warehouse: Warehouse) -> None:
    record = {
        "select": 1,
        "ID": 2,
        "id": 3,
        'quo"te': 4,
        "100% sure": 5,
        "größe": 6,
        "a" * 63: 7,
        "b" * 64: 8,
        "b" * 63 + "c": {"x": 9},
        "日本" * 20: "10",
        "a.b": None,
        'tab"; DROP TABLE x; --': 11,
    }
    output = warehouse.pull([[record]], layout="columns")
    kept = {name: value for name, value in record.items() if value is not None}
    assert read_back(warehouse, output) == [kept]
    assert all(len(name.encode()) <= 63 for name in warehouse.types())


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"_run_id": 1}, "it is a technical column; choose another column_prefix"),
        ({"": 1}, "it is empty"),
        ({"a\nb": 1}, "it has a control character"),
        ({"ymax": 1, "xmax": 1}, "PostgreSQL has a system column of that name"),
    ],
)
def test_a_name_that_no_column_can_have_is_refused(
    warehouse: Warehouse, record: Any, said: str
) -> None:
    with pytest.raises(DestinationError, match=f"cannot be a column: {said}"):
        warehouse.pull([[record]], layout="columns")
    assert warehouse.column("1") == []


def test_records_must_be_objects(warehouse: Warehouse) -> None:
    with pytest.raises(
        DestinationError, match="Record 2 is not an object, and layout columns needs objects"
    ):
        warehouse.pull([[{"id": 1}, [1]]], layout="columns")


def test_records_without_any_value_are_rows_too(warehouse: Warehouse) -> None:
    output = warehouse.pull([[{}, {"a": None}]], layout="columns")
    assert read_back(warehouse, output) == [{}, {}]


def test_types_that_a_person_chose_stay_and_a_refused_value_names_its_column(
    warehouse: Warehouse,
) -> None:
    schema = warehouse.schema
    warehouse.ask(f"CREATE SCHEMA {schema}")
    warehouse.ask(
        f"CREATE TABLE {schema}.contacts (id integer, code varchar(3), at timestamptz, tags text[])"
    )
    record = {"id": 1, "code": "abc", "at": "2026-01-01T00:00:00Z", "tags": ["x", "y"]}
    warehouse.pull([[record]], layout="columns")
    assert warehouse.types()["id"] == "integer"
    assert warehouse.column("tags") == [["x", "y"]]
    with pytest.raises(DestinationError) as caught:
        warehouse.pull([[record], [{**record, "at": "soon"}]], layout="columns", run="r2")
    assert str(caught.value) == (
        "Column 'at' of type timestamp with time zone refuses a value (invalid input syntax for type timestamp with time "
        f'zone: "soon") at {schema}.contacts, run r2. Correct the type in the contract or the table, or convert the field '
        "with fields."
    )
    assert warehouse.column("id") == [1]


def test_a_view_on_a_column_that_must_become_wider_is_said(warehouse: Warehouse) -> None:
    warehouse.pull([[{"id": 1}]], layout="columns")
    warehouse.ask(f"CREATE VIEW {warehouse.schema}.v AS SELECT id FROM {warehouse.schema}.contacts")
    with pytest.raises(DestinationError, match="A view or another object uses the column"):
        warehouse.pull([[{"id": "x"}]], layout="columns", run="r2")
    assert warehouse.column("id") == [1]


def test_types_that_an_attempt_saw_go_on_in_the_next(warehouse: Warehouse) -> None:
    run = Run("contacts", "r1", dag_id="crm")
    destination = warehouse.destination(layout="columns")
    writer = destination.open(run)
    writer.write([{"id": 1, "only_here": 0.5}])
    writer.keep(b"state")
    writer.suspend()
    progress = destination.find_progress(run)
    writer = destination.resume(run, progress, 1)
    writer.write(ids(1))
    writer.commit(summary(2))
    assert warehouse.column("only_here") == [0.5, None]
    assert warehouse.stages() == []


def test_declared_decimals_keep_every_digit(warehouse: Warehouse) -> None:
    declared = RecordSchema({"total": FieldType("fixed", precision=22, scale=2)})
    records = [
        msgspec.Raw(b'{"total":%s}' % text) for text in (b"1.10", b"12345678901234567890.12")
    ]
    warehouse.pull([records], EndpointFacts(declared=declared), layout="columns")
    assert warehouse.types() == {"total": "numeric"}
    assert warehouse.column("total::text") == ["1.10", "12345678901234567890.12"]


# A type that an author of a table chose, a value that it holds with the text of it there, and one that it would change.
CHANGING = {
    "numeric(12,2)": (1.5, "1.50", 1.505),
    "numeric(5,1)[]": ([1.5], "{1.5}", [1.55]),
    "real": (0.1234567, "0.1234567", 16777217),
    "real[]": ([0.5], "{0.5}", [16777217]),
    "money": (1.5, "$1.50", 1.505),
    "date": ("2026-01-31T00:00:00Z", "2026-01-31", "2026-01-31T00:00:00+02:00"),
    "timestamp(0) with time zone": (
        "2026-01-31T10:00:00+02:00",
        "2026-01-31 08:00:00+00",
        "2026-01-31T10:00:00.5Z",
    ),
    "timestamp(3) without time zone": (
        "2026-01-31T10:00:00.123Z",
        "2026-01-31 10:00:00.123",
        "2026-01-31T10:00:00.1234Z",
    ),
    "time(0) without time zone": ("10:00:00", "10:00:00", "10:00:00.5"),
    "time without time zone": ("10:00:00Z", "10:00:00", "10:00:00+02:00"),
    "time(0) with time zone": ("10:00:00+02:00", "10:00:00+02", "10:00:00.5+02:00"),
    "name": ("Ada", "Ada", "a" * 64),
    '"char"': ("A", "A", "Ada"),
    "interval(0)": ("PT1S", "00:00:01", "PT1.5S"),
    "interval day to second(0)": ("P1DT1S", "1 day 00:00:01", "PT1.5S"),
    "interval year to month": ("P1M", "1 mon", "P1M1D"),
    "interval hour[]": (["PT2H"], "{02:00:00}", ["PT2H1S"]),
    "double precision[]": ([0.1, 1], "{0.1,1}", [9007199254740993]),
    "date[]": (["2026-01-31"], "{2026-01-31}", ["2026-01-31", "2026-01-31T10:00:00Z"]),
    "timestamp(0) with time zone[]": (
        ["2026-01-31T10:00:00+02:00", None],
        '{"2026-01-31 08:00:00+00",NULL}',
        ["2026-01-31T10:00:00.5Z"],
    ),
    "tsrange": (
        "[2026-01-31T10:00:00.25,infinity]",
        '["2026-01-31 10:00:00.25",infinity]',
        "[2026-01-31T10:00:00+02:00,)",
    ),
    "tstzrange": (
        "[2026-01-31T10:00:00+02:00, 2026-02-01)",
        '["2026-01-31 08:00:00+00","2026-02-01 00:00:00+00")',
        "[2026-01-31T10:00:00.1234567Z,)",
    ),
    "daterange": ("[2026-01-31,]", "[2026-01-31,)", "[2026-01-31T10:00:00,)"),
    "tsmultirange": (
        '{[2026-01-31,"2026-02-01 10:00:00"),(2026-03-01,)}',
        '{["2026-01-31 00:00:00","2026-02-01 10:00:00"),("2026-03-01 00:00:00",)}',
        "{[2026-01-31,),[2026-01-31 10:00 PST,)}",
    ),
}


@pytest.mark.parametrize("field", ["total", LONG], ids=["short", "long"])
@pytest.mark.parametrize("type_name", CHANGING)
def test_a_column_that_would_change_a_value_refuses_it(
    warehouse: Warehouse, type_name: str, field: str
) -> None:
    kept, text, changed = CHANGING[type_name]
    name = quote_name(shorten_name(field))
    warehouse.pull([[{"id": 1}]], layout="columns")
    warehouse.ask(f"ALTER TABLE {warehouse.schema}.contacts ADD COLUMN {name} {type_name}")
    warehouse.pull([[{"id": 1, field: kept}, {"id": 2, field: None}]], layout="columns")
    refusal = re.escape(f"of type {type_name} refuses a value (") + ".*it would be cut or rounded"
    with pytest.raises(DestinationError, match=refusal):
        warehouse.pull([[{"id": 1, field: changed}]], layout="columns", run="r2")
    assert warehouse.column(f"{name}::text") == [text, None]


@pytest.mark.parametrize("depth", [1, 2])
def test_a_domain_over_a_type_that_would_change_a_value_refuses_it(
    warehouse: Warehouse, depth: int
) -> None:
    warehouse.pull([[{"id": 1}]], layout="columns")
    of_depth = [f"{warehouse.schema}.amount_{number}" for number in range(depth)]
    for name, base in zip(of_depth, ["numeric(12,2)", *of_depth], strict=False):
        warehouse.ask(f"CREATE DOMAIN {name} AS {base} CHECK (VALUE > 0)")
    warehouse.ask(f"ALTER TABLE {warehouse.schema}.contacts ADD COLUMN total {of_depth[-1]}")
    warehouse.pull([[{"id": 1, "total": 1.5}, {"id": 2, "total": None}]], layout="columns")
    for refused in (1.505, -1):
        with pytest.raises(DestinationError, match=r"refuses a value|violates check"):
            warehouse.pull([[{"id": 1, "total": refused}]], layout="columns", run="r2")
    assert warehouse.column("total::text") == ["1.50", None]


def test_an_array_of_a_domain_that_would_change_a_value_refuses_it(warehouse: Warehouse) -> None:
    warehouse.pull([[{"id": 1}]], layout="columns")
    warehouse.ask(f"CREATE DOMAIN {warehouse.schema}.amount AS numeric(12,2) CHECK (VALUE > 0)")
    warehouse.ask(f"CREATE DOMAIN {warehouse.schema}.total AS {warehouse.schema}.amount")
    warehouse.ask(f"ALTER TABLE {warehouse.schema}.contacts ADD v {warehouse.schema}.total[]")
    warehouse.pull([[{"id": 1, "v": [1.5, None]}, {"id": 2, "v": None}]], layout="columns")
    for refused in (1.505, -1):
        with pytest.raises(DestinationError, match=r"refuses a value|violates check"):
            warehouse.pull([[{"id": 1, "v": [1, refused]}]], layout="columns", run="r2")
    assert warehouse.column("v::text") == ["{1.50,NULL}", None]


@pytest.mark.parametrize("field", ["name", LONG], ids=["short", "long"])
@pytest.mark.parametrize("type_name", ["character varying(3)", "character(3)"])
def test_a_column_that_would_cut_a_text_refuses_it(
    warehouse: Warehouse, type_name: str, field: str
) -> None:
    name = quote_name(shorten_name(field))
    warehouse.pull([[{"id": 1}]], layout="columns")
    warehouse.ask(f"ALTER TABLE {warehouse.schema}.contacts ADD COLUMN {name} {type_name}")
    with pytest.raises(DestinationError, match="refuses a value"):
        warehouse.pull([[{"id": 1, field: "abcd"}]], layout="columns")


def test_a_column_without_time_zone_gets_instants_in_utc(warehouse: Warehouse) -> None:
    warehouse.pull([[{"id": 1}]], layout="columns")
    warehouse.ask(f"ALTER TABLE {warehouse.schema}.contacts ADD COLUMN at timestamp")
    texts = ["2026-01-31T10:00:00+02:00", "2026-01-31T10:00:00Z", "2026-01-31 10:00:00"]
    warehouse.pull([[{"id": n, "at": text} for n, text in enumerate(texts)]], layout="columns")
    utc = ["2026-01-31 08:00:00", *["2026-01-31 10:00:00"] * 2]
    assert warehouse.column("at::text") == utc
    warehouse.ask(f"ALTER TABLE {warehouse.schema}.contacts ADD COLUMN several timestamp[]")
    warehouse.pull([[{"id": 9, "several": texts}]], layout="columns")
    assert warehouse.column("array_to_string(several, ';')") == [";".join(utc)]


def test_digits_behind_the_microsecond_are_cut_off_and_make_no_other_day(
    warehouse: Warehouse,
) -> None:
    declared = RecordSchema({"at": FieldType("timestamp")})
    records = [{"at": "2026-12-31T23:59:59.9999999Z"}, {"at": "2026-12-31t23:59:59.999999+00:00"}]
    warehouse.pull([records], EndpointFacts(declared=declared), layout="columns")
    assert warehouse.types() == {"at": "timestamp with time zone"}
    assert warehouse.column("at::text") == ["2026-12-31 23:59:59.999999+00"] * 2


def test_the_time_of_an_instant_is_not_lost_in_a_column_of_dates(warehouse: Warehouse) -> None:
    days = EndpointFacts(declared=RecordSchema({"at": FieldType("date")}))
    warehouse.pull([[{"at": "2026-01-31"}]], days, layout="columns")
    instants = EndpointFacts(declared=RecordSchema({"at": FieldType("timestamp")}))
    with pytest.raises(DestinationError, match="Column 'at' of type date refuses a value"):
        warehouse.pull([[{"at": "2026-01-31T10:00:00Z"}]], instants, layout="columns", run="r2")
    assert warehouse.column("at::text") == ["2026-01-31"]


@pytest.mark.parametrize(
    "text",
    ["2026-12-31 23:59:59.9999999", "20261231T235959.99999999Z", "2027-01-01T01:59:59.9999999+02"],
)
def test_digits_are_cut_off_in_every_form_of_an_instant(warehouse: Warehouse, text: str) -> None:
    warehouse.pull([[{"id": 1}]], layout="columns")
    warehouse.ask(f"ALTER TABLE {warehouse.schema}.contacts ADD COLUMN at timestamptz")
    warehouse.pull([[{"at": text}]], layout="columns")
    assert warehouse.column("at::text") == ["2026-12-31 23:59:59.999999+00"]


@pytest.mark.parametrize("type_name", ["numeric(12,2)", "real", "timestamp without time zone"])
def test_rows_are_merged_by_a_key_in_a_column_of_another_type(
    warehouse: Warehouse, type_name: str
) -> None:
    value = 1.1 if type_name in {"numeric(12,2)", "real"} else "2026-01-31T10:00:00Z"
    options = {"layout": "columns", "mode": "merge"}
    facts = EndpointFacts(primary_key=("key",))
    warehouse.pull([[{"key": value, "n": 1}]], facts, **options)
    warehouse.ask(f"TRUNCATE {warehouse.schema}.contacts")
    using = "::text" if "timestamp" in type_name else ""
    warehouse.ask(
        f"ALTER TABLE {warehouse.schema}.contacts ALTER COLUMN key TYPE {type_name} USING key{using}::{type_name}"
    )
    for number in (1, 2):
        warehouse.pull([[{"key": value, "n": number}]], facts, run=f"r{number}", **options)
    assert warehouse.column("n") == [2]
