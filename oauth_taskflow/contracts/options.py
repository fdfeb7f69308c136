"""The ``contract`` options of an endpoint: which schema its records have, and what a record that differs does."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from oauth_taskflow.schema.types import DottedPath, Options, Text, doc

Mode = Annotated[
    Literal["evolve", "freeze", "discard_row", "discard_value"],
    doc(
        "evolve: follow the records; freeze: fail; discard_row: leave the record out; discard_value: leave the value out.",
        "freeze",
    ),
]


class GivenSchema(Options, frozen=True, kw_only=True):
    """The schema that records have; one of the three keys."""

    fields: Annotated[
        dict[str, Any] | None,
        doc(
            "Name to type: boolean, integer, number, decimal, decimal(12, 2), text, date, timestamp, json; a mapping for an "
            "object, a list of one type for a list. A name with ? may be absent or null.",
            {
                "id": "integer",
                "total": "decimal(12, 2)",
                "email?": "text",
                "tags": ["text"],
                "address?": {"zip": "text"},
            },
        ),
    ] = None
    file: Annotated[
        Text | None,
        doc(
            "JSON Schema in a file, relative to the spec; airflow oauth schema writes it.",
            "schemas/contacts.json",
        ),
    ] = None
    json_schema: Annotated[
        dict[str, Any] | None,
        doc(
            "JSON Schema 2020-12 of one record.",
            {"type": "object", "properties": {}},
        ),
    ] = None


class Contract(Options, frozen=True, kw_only=True):
    """The reaction when records are not as the schema says, by fields and by types (docs/contract.md)."""

    columns: Annotated[Mode, doc("What a field that the schema lacks does.", "discard_value")] = (
        "evolve"
    )
    types: Annotated[
        Mode,
        doc("What a value of another type, or a required field without value, does.", "freeze"),
    ] = "evolve"
    schema: Annotated[
        GivenSchema | None,
        doc("The schema; absent: it is observed.", {"file": "schemas/contacts.json"}),
    ] = None
    notifier: Annotated[
        DottedPath | None,
        doc(
            "Dotted path of a notifier or function that is called when the schema changed, instead of [oauth_taskflow] "
            "schema_notifier; imported when a task runs.",
            "my_company.alerts.SchemaNotifier",
        ),
    ] = None


AnyContract = Mode | Contract


def read_contract(contract: str | Contract) -> Contract:
    """Returns a contract that may be written as one mode."""
    if isinstance(contract, Contract):
        return contract
    return Contract(columns=contract, types=contract)  # type: ignore[arg-type]  # checked as a mode
