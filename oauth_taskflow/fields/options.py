"""The ``fields`` options of an endpoint: how a record is reshaped before keys, watermark and destination see it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import field

from oauth_taskflow.schema.types import JmesPath, Options, Text, doc

FieldText = Annotated[
    str,
    doc(
        'Path of a field: names with dots, [] for each item of a list, * in a name; quote names with @ or dots: "@type".',
        "items[].price",
        min_length=1,
        max_length=500,
    ),
]
DateForm = Annotated[
    str,
    doc(
        "any, iso, date, epoch, epoch_ms, epoch_us, http, dotnet, or a strptime pattern.",
        "%d/%m/%Y",
        min_length=1,
        max_length=200,
    ),
]
CastName = Literal["text", "integer", "decimal", "boolean", "json"]


class PathValue(Options, frozen=True, kw_only=True):
    """A value that is found in the record."""

    path: Annotated[JmesPath, doc("JMESPath into the record.", "teams[].id")]


class DateOptions(Options, frozen=True, kw_only=True):
    """The form of a date, the zone of times without one, and what is written."""

    form: Annotated[DateForm | list[DateForm], doc("Form, or forms in turn.", "%d.%m.%Y %H:%M")]
    zone: Annotated[
        str, doc("IANA zone of times that name none.", "Europe/Berlin", min_length=1)
    ] = "UTC"
    write: Annotated[
        Literal["instant", "date"], doc("An instant in UTC, or its date in the zone.", "date")
    ] = "instant"


class Collect(Options, frozen=True, kw_only=True):
    """Fields that become one field: a mapping, or with ``as`` a list of small mappings."""

    keys: Annotated[
        FieldText | list[FieldText],
        doc("Fields to collect; * in the last name matches any text.", "cf_*"),
    ]
    as_: Annotated[
        list[Text] | None,
        doc("Names for key and value in each item of the list.", ["name", "value"]),
    ] = field(default=None, name="as")


class HashOptions(Options, frozen=True, kw_only=True):
    """Fields to replace by a keyed hash, and its length."""

    fields: Annotated[list[FieldText], doc("Fields to replace.", ["email"], min_length=1)]
    length: Annotated[int, doc("Hexadecimal digits to keep.", 32, ge=16, le=64)] = 64


class Fields(Options, frozen=True, kw_only=True):
    """Changes of the fields of a record, made in this order, whatever the order in the file (docs/fields.md)."""

    spread: Annotated[
        list[FieldText], doc("Mappings whose members move up beside them.", ["attributes"])
    ] = []
    move: Annotated[
        dict[FieldText, FieldText],
        doc("Rename a field, or lift it out: old path to new.", {"links.self.href": "url"}),
    ] = {}
    set: Annotated[
        dict[FieldText, str | int | float | bool | PathValue],
        doc(
            "New fields: a constant, a template (record, now, window, params …) or a JMESPath.",
            {"read_at": "{{ now }}", "team_ids": {"path": "teams[].id"}},
        ),
    ] = {}
    dates: Annotated[
        dict[FieldText, DateForm | list[DateForm] | DateOptions],
        doc("Dates to write as RFC 3339 in UTC.", {"created": "%d/%m/%Y", "*_at": "any"}),
    ] = {}
    cast: Annotated[
        dict[FieldText, CastName],
        doc("Types; a cast that would lose something fails.", {"id": "text", "total": "decimal"}),
    ] = {}
    collect: Annotated[
        dict[FieldText, Collect],
        doc("Fields to gather in one.", {"custom": {"keys": "cf_*", "as": ["name", "value"]}}),
    ] = {}
    names: Annotated[
        Literal["snake_case", "lower_case"] | None,
        doc("How all names are written, at any depth; clashes fail.", "snake_case"),
    ] = None
    flatten: Annotated[
        Text | None,
        doc("Join the names of nested mappings with this text; lists stay.", "_"),
    ] = None
    drop: Annotated[list[FieldText], doc("Fields to leave out.", ["_links", "items[].href"])] = []
    drop_values: Annotated[
        list[str | int | float | bool | list[str] | dict[str, str] | None],
        doc("Leave out fields with these values, at any depth.", [None, "", "0000-00-00"]),
    ] = []
    hash: Annotated[
        list[FieldText] | HashOptions | None,
        doc("Fields to replace by a hash under [oauth_taskflow] hash_key.", ["email"]),
    ] = None
    on_error: Annotated[
        Literal["fail", "keep", "null", "quarantine"] | None,
        doc(
            "What an unreadable date or failed cast does: fail, keep the value, null, or quarantine: the record as it came goes to "
            "a separate file.",
            "keep",
        ),
    ] = "fail"

    @property
    def hashed(self) -> list[str]:
        """The paths of the fields to hash."""
        return self.hash.fields if isinstance(self.hash, HashOptions) else self.hash or []

    @property
    def hash_length(self) -> int:
        """The number of hexadecimal digits of a hash."""
        return self.hash.length if isinstance(self.hash, HashOptions) else 64
