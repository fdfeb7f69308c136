"""Rules about ``checks``."""

from __future__ import annotations

from collections.abc import Iterator

from oauth_taskflow.contracts.check_options import Checks, CheckSet
from oauth_taskflow.fields.trace import find_loss, is_covered, read_path
from oauth_taskflow.specs.problem import Finding, YamlPath
from oauth_taskflow.specs.rules.registry import EndpointView, Findings, endpoint_rule


@endpoint_rule("check-field", about="checks")
def check_field(view: EndpointView) -> Findings:
    """Checks look at fields as they are written: after `fields`, by plain names.

    A check of a field that `fields` drops or renames would find nothing in every record.

    Bad: `checks: {not_null: ["items[].id"]}`, `fields: {drop: [email]}` with `checks: {unique: [email]}`

    Good: `checks: {not_null: [id, address.zip]}`
    """
    for where, text in _list_fields(view):
        path = read_path(text)
        if path is None or path.has_items or path.has_pattern:
            hint = "Name one field, without [] and *."
            yield Finding(where, f"{text!r} is not the name of a field", hint)
            continue
        fields = view.endpoint.fields
        loss = None if fields is None else find_loss(fields, path.names)
        if loss is not None:
            hint = f"Write {loss.instead}." if loss.instead else "Check another field."
            yield Finding(where, f"no record has a field {text!r} after fields.{loss.step}", hint)


@endpoint_rule("check-values-hashed", about="checks")
def check_values_hashed(view: EndpointView) -> Findings:
    """`accepted_values` of a field that `fields.hash` replaces: no hash is among them.

    Bad: `fields: {hash: [status]}` with `checks: {accepted_values: {status: [open]}}`

    Good: `where: "status == 'open'"`, which comes before `fields`
    """
    fields = view.endpoint.fields
    for prefix, options in list_check_sets(view.endpoint.checks):
        for name in options.accepted_values:
            path = read_path(name)
            if fields is not None and path is not None and is_covered(fields.hashed, path.names):
                where = (*prefix, "accepted_values", name)
                hint = "Check another field."
                yield Finding(where, f"fields.hash replaces {name!r}", hint, at_key=True)


@endpoint_rule("freshness-without-field", about="checks")
def freshness_without_field(view: EndpointView) -> Findings:
    """`freshness` looks at the latest value of `incremental.field`.

    Bad: `checks: {freshness: P1D}` without `incremental`

    Good: `checks: {freshness: P1D}` with `incremental: {field: updated_at, ...}`
    """
    incremental = view.endpoint.incremental
    if incremental is not None and incremental.field is not None:
        return
    for prefix, options in list_check_sets(view.endpoint.checks):
        if options.freshness is not None:
            hint = "Name the time of change: incremental: {field: updated_at, …}."
            yield Finding((*prefix, "freshness"), "freshness needs incremental.field", hint)


@endpoint_rule("checks-empty", "warning", about="checks")
def checks_empty(view: EndpointView) -> Findings:
    """`checks` without a check, or a check without values.

    Bad: `checks: {}`, `checks: {accepted_values: {status: []}}`

    Good: `checks: {min_rows: 1}`
    """
    sets = list(list_check_sets(view.endpoint.checks))
    if (
        sets
        and all(options == CheckSet() for _, options in sets if type(options) is CheckSet)
        and not (view.raw.get("checks"))
    ):
        yield Finding(("checks",), "there is no check", "Write one, such as min_rows: 1.")
    for prefix, options in sets:
        for name, values in options.accepted_values.items():
            if not values:
                where = (*prefix, "accepted_values", name)
                yield Finding(where, "no value is accepted", "List the values.", at_key=True)


def list_check_sets(checks: Checks | None) -> Iterator[tuple[YamlPath, CheckSet]]:
    """Yields the checks that fail a run and those that warn, with their places."""
    if checks is None:
        return
    yield ("checks",), checks
    if checks.warn is not None:
        yield ("checks", "warn"), checks.warn


def _list_fields(view: EndpointView) -> Iterator[tuple[YamlPath, str]]:
    for prefix, options in list_check_sets(view.endpoint.checks):
        yield from (((*prefix, "not_null", n), name) for n, name in enumerate(options.not_null))
        yield from (((*prefix, "accepted_values", name), name) for name in options.accepted_values)
        for number, names in enumerate(options.unique):
            where: YamlPath = (*prefix, "unique", number)
            if isinstance(names, str):
                yield where, names
            else:
                yield from (((*where, n), name) for n, name in enumerate(names))
