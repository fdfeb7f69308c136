"""Rules about ``quarantine``: rejected records have a place, and the place shows nothing that is to be hidden."""

from __future__ import annotations

from oauth_taskflow.destinations.files import FileDestination
from oauth_taskflow.specs.problem import Finding, YamlPath
from oauth_taskflow.specs.rejects import can_reject
from oauth_taskflow.specs.rules.registry import EndpointView, Findings, endpoint_rule


@endpoint_rule("quarantine-place", about=("contract", "fields"))
def quarantine_place(view: EndpointView) -> Findings:
    """Rejected records go to a file next to those of a file destination; with other destinations, a folder must be named.

    Bad: `contract: {types: discard_row, ...}` with `destination: {type: postgres, table: raw.contacts}`

    Good: the same with `quarantine: {path: "/data/rejected/{{ dag_id }}/{{ endpoint }}"}`
    """
    endpoint = view.endpoint
    has_folder = endpoint.quarantine is not None and endpoint.quarantine.path is not None
    if has_folder or not can_reject(endpoint) or not view.destinations:
        return
    if any(isinstance(options, FileDestination) for _, options in view.destinations):
        return
    hint = 'Write quarantine: {path: "/data/rejected/{{ dag_id }}/{{ endpoint }}"}.'
    yield Finding(_find_cause(view), "there is no place for rejected records", hint)


@endpoint_rule("quarantine-unused", about="quarantine")
def quarantine_unused(view: EndpointView) -> Findings:
    """Only `discard_row` of `contract` and `on_error: quarantine` of `fields` reject records.

    Bad: `quarantine: {max_records: 10}` with `contract: evolve`

    Good: `quarantine: {max_records: 10}` with `fields: {cast: {id: integer}, on_error: quarantine}`
    """
    if (
        "quarantine" in view.raw
        and view.endpoint.quarantine is not None
        and not can_reject(view.endpoint)
    ):
        if view.source.defaults.quarantine is not None:
            return  # of endpoints that reject
        hint = "Write discard_row in contract or fields.on_error: quarantine, or remove it."
        yield Finding(("quarantine",), "no record is rejected", hint, at_key=True)


@endpoint_rule("quarantine-connection", about="quarantine")
def quarantine_connection(view: EndpointView) -> Findings:
    """`conn_id` is the connection of the folder that `path` names.

    Bad: `quarantine: {conn_id: aws_default}`

    Good: `quarantine: {path: "s3://lake/rejected/{{ endpoint }}", conn_id: aws_default}`
    """
    options = view.endpoint.quarantine
    if options is not None and options.conn_id is not None and options.path is None:
        yield Finding(("quarantine", "conn_id"), "conn_id has no path", "Name the folder: path.")


@endpoint_rule("quarantine-shows-hashed", about="fields")
def quarantine_shows_hashed(view: EndpointView) -> Findings:
    """`on_error: quarantine` writes the record as it came, with the values that `hash` is there to hide.

    `contract` rejects records after `fields`, with their hashes.

    Bad: `fields: {cast: {age: integer}, hash: [email], on_error: quarantine}`

    Good: `fields: {hash: [email]}` with `contract: {types: discard_row, schema: {fields: {age: integer, email: text}}}`
    """
    fields = view.endpoint.fields
    if fields is not None and fields.hashed and fields.on_error == "quarantine":
        message = "quarantine would show what fields.hash hides"
        hint = "Write on_error: null or keep, or let a contract with types: discard_row reject such records."
        yield Finding(("fields", "on_error"), message, hint)


def _find_cause(view: EndpointView) -> YamlPath:
    """The key that rejects records."""
    fields = view.endpoint.fields
    if fields is not None and fields.on_error == "quarantine":
        return "fields", "on_error"
    return ("contract",)
