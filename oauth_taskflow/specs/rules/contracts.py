"""Rules about ``contract``: its schema can be read, and what it leaves out is not needed."""

from __future__ import annotations

from collections.abc import Iterator

from oauth_taskflow.contracts.inline_schema import read_fields, read_given_schema
from oauth_taskflow.contracts.options import Contract, GivenSchema, read_contract
from oauth_taskflow.errors import SpecError
from oauth_taskflow.fields.paths import write_name
from oauth_taskflow.fields.trace import find_loss, read_plain_names
from oauth_taskflow.record_schema.model import FieldType, RecordSchema
from oauth_taskflow.specs.contract_files import SchemaUnreadable, read_schema_file
from oauth_taskflow.specs.problem import Finding, YamlPath
from oauth_taskflow.specs.rules.registry import EndpointView, Findings, endpoint_rule

_SCHEMA = ("contract", "schema")


@endpoint_rule("contract-without-schema", about="contract")
def contract_without_schema(view: EndpointView) -> Findings:
    """`freeze`, `discard_row` and `discard_value` compare records with a schema, so there must be one.

    `airflow oauth schema SPEC ENDPOINT` writes the schema of real records to a file.

    Bad: `contract: freeze`, `contract: {types: discard_row}`

    Good: `contract: evolve`, `contract: {types: freeze, schema: {fields: {id: integer}}}`
    """
    contract = _read(view)
    if contract is None or contract.schema is not None:
        return
    modes = {"columns": contract.columns, "types": contract.types}
    for key, mode in modes.items():
        if mode == "evolve":
            continue
        is_short = isinstance(view.endpoint.contract, str)
        where: YamlPath = ("contract",) if is_short else ("contract", key)
        hint = "Give contract.schema, such as {file: schemas/contacts.json}, or write evolve."
        yield Finding(where, f"{mode} has no schema to compare records with", hint)
        return


@endpoint_rule("contract-schema", about="contract")
def contract_schema(view: EndpointView) -> Findings:
    """The schema of a contract is given in one way, and can be read.

    Types are boolean, integer, number, decimal, decimal(12, 2), text, date, timestamp and json; a mapping is an object, and a list
    of one type a list. A name with `?` may be absent or null. A file holds JSON Schema 2020-12, and its path is relative to the spec.

    Bad: `contract: {schema: {fields: {id: int}}}`, `contract: {schema: {}}`,
    `contract: {schema: {json_schema: {type: array}}}`

    Good: `contract: {schema: {fields: {id: integer, "email?": text, tags: [text]}}}`
    """
    contract = _read(view)
    if contract is None or contract.schema is None:
        return
    given = contract.schema
    ways = [name for name in ("fields", "file", "json_schema") if getattr(given, name) is not None]
    if len(ways) != 1:
        message = (
            "the schema is given in no way"
            if not ways
            else f"{ways[0]} and {ways[1]} both give a schema"
        )
        yield Finding(_SCHEMA, message, "Write one of fields, file and json_schema.")
        return
    if given.fields is not None:
        if not given.fields:
            yield Finding((*_SCHEMA, "fields"), "the schema has no field", "Write name: type.")
        for flaw in read_fields(given.fields)[1]:
            yield Finding((*_SCHEMA, "fields", *flaw.path), flaw.message, flaw.hint)
        return
    try:
        _read_schema(view, given)
    except (SpecError, SchemaUnreadable) as error:
        for text in getattr(error, "problems", None) or [str(error)]:
            hint = "Write JSON Schema 2020-12, as airflow oauth schema does."
            yield Finding((*_SCHEMA, ways[0]), str(text), hint)


@endpoint_rule("contract-discards-key", about="contract")
def contract_discards_key(view: EndpointView) -> Findings:
    """With `columns: discard_value`, a field that the schema lacks is left out: key and change time must be in it.

    With `discard_row` every record would be left out, and with `freeze` every run would fail.

    Bad: `contract: {columns: discard_value, schema: {fields: {name: text}}}` with `primary_key: id`

    Good: `contract: {columns: discard_value, schema: {fields: {id: integer, name: text}}}` with `primary_key: id`
    """
    contract = _read(view)
    if contract is None or contract.columns == "evolve" or contract.schema is None:
        return
    schema = _try_schema(view, contract.schema)
    if schema is None:
        return
    for where, path in _list_needed(view):
        names = read_plain_names(path)
        if names and not _has(schema.fields, names):
            hint = "Add it to the schema of the contract."
            yield Finding(where, f"the schema of the contract has no field {path!r}", hint)


@endpoint_rule("contract-field-lost", about="contract")
def contract_field_lost(view: EndpointView) -> Findings:
    """Records are compared after `fields`: the schema uses the new names.

    Bad: `fields: {names: snake_case}` with `contract: {schema: {fields: {firstName: text}}}`

    Good: `fields: {names: snake_case}` with `contract: {schema: {fields: {first_name: text}}}`
    """
    contract, fields = _read(view), view.endpoint.fields
    if contract is None or fields is None or contract.schema is None or not contract.schema.fields:
        return
    for key in contract.schema.fields:
        name = str(key).removesuffix("?")
        loss = find_loss(fields, (name,))
        if loss is not None:
            hint = f"Write {loss.instead}." if loss.instead else "Leave it out of the schema."
            message = f"no record has a field {write_name(name)!r} after fields.{loss.step}"
            yield Finding((*_SCHEMA, "fields", str(key)), message, hint)


def _read(view: EndpointView) -> Contract | None:
    written = view.endpoint.contract
    return None if written is None else read_contract(written)


def _read_schema(view: EndpointView, given: GivenSchema) -> RecordSchema:
    if given.file is not None:
        given = GivenSchema(json_schema=read_schema_file(view.spec.path, given.file))
    return read_given_schema(given)


def _try_schema(view: EndpointView, given: GivenSchema) -> RecordSchema | None:
    try:
        return _read_schema(view, given)
    except (SpecError, SchemaUnreadable):
        return None


def _list_needed(view: EndpointView) -> Iterator[tuple[YamlPath, str]]:
    keys = view.endpoint.primary_key
    if isinstance(keys, str):
        yield ("primary_key",), keys
    for number, key in enumerate(keys if isinstance(keys, list) else ()):
        yield ("primary_key", number), key
    incremental = view.endpoint.incremental
    if incremental is not None and incremental.field is not None:
        yield ("incremental", "field"), incremental.field


def _has(fields: dict[str, FieldType] | object, names: tuple[str, ...]) -> bool:
    """Whether a schema may have the field ``names``."""
    assert isinstance(fields, dict)
    kind = fields.get(names[0])
    if kind is None:
        return False
    return len(names) == 1 or kind.kind != "object" or _has(dict(kind.fields), names[1:])
