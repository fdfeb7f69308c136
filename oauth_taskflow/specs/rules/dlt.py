"""Rules about tables that dlt writes: secrets, keys and technical columns."""

from __future__ import annotations

from collections.abc import Iterator

from oauth_taskflow.destinations.tables.dlt_options import DltDestination
from oauth_taskflow.redaction import is_sensitive_name
from oauth_taskflow.specs.problem import Finding, YamlPath
from oauth_taskflow.specs.rules.registry import EndpointView, Findings, endpoint_rule
from oauth_taskflow.specs.rules.tables import find_technical

_TECHNICAL = ("dag_id", "endpoint", "run_id", "map_index", "row")
_KEPT_BY_CONNECTION = "Keep it in the Airflow connection: conn_id, with credentials in its extra."


def _tables(view: EndpointView) -> Iterator[tuple[YamlPath, DltDestination]]:
    """The tables of dlt among the destinations of an endpoint, with their places in the spec."""
    for path, options in view.destinations:
        if isinstance(options, DltDestination):
            yield path, options


@endpoint_rule("dlt-secret")
def dlt_secret(view: EndpointView) -> Findings:
    """The options of a dlt destination hold no secret: a spec is in version control, and its options are in XCom.

    `credentials` may be the path of a file, as for DuckDB, or a URL without a password.

    Bad: `options: {credentials: {host: db, password: hunter2}}`

    Good: `conn_id: warehouse`
    """
    for path, options in _tables(view):
        for name, value in options.options.items():
            if name == "credentials" and isinstance(value, str):
                continue
            if is_sensitive_name(name) and value is not None:
                message = f"option {name!r} may hold a secret"
                yield Finding((*path, "options", name), message, _KEPT_BY_CONNECTION)


@endpoint_rule("dlt-column")
def dlt_column(view: EndpointView) -> Findings:
    """A field that the spec makes does not have the name of a technical column of a dlt table.

    Bad: `fields: {set: {_row: 1}}`

    Good: `fields: {set: {number: 1}}`
    """
    for _, options in _tables(view):
        technical = {f"{options.column_prefix}{name}" for name in _TECHNICAL}
        yield from find_technical(view, technical)
