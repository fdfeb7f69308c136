"""The documentation of an endpoint's task: its complete YAML.

Airflow makes a new version of a DAG when what it serialises changes, and of an endpoint it serialises nothing but this. It
also shows it to people, with the defaults merged in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from oauth_taskflow.redaction import REDACTED
from oauth_taskflow.specs.budgets import complete_endpoint
from oauth_taskflow.specs.contract_files import SchemaUnreadable
from oauth_taskflow.specs.defaults import without_default_type
from oauth_taskflow.specs.model import Endpoint, Spec
from oauth_taskflow.specs.secret_names import NAMED_VALUES, names_secret
from oauth_taskflow.specs.yaml_writer import yaml_text

# Characters of YAML in one task; Airflow stores each version of a DAG whole.
MOST_SHOWN = 32_768


def plain_endpoint(endpoint: Endpoint) -> dict[str, Any]:
    """Returns the options of ``endpoint`` as plain data, without defaults."""
    return without_default_type(msgspec.to_builtins(endpoint))


def describe_endpoints(spec: Spec) -> dict[str, str]:
    """Returns the documentation of each endpoint by name, for keeping it with a spec that does not change.

    An endpoint whose contract is in its own file is left out: that file may change.
    """
    found = {}
    for name, endpoint in spec.endpoints.items():
        try:
            complete = complete_endpoint(spec, name)
        except SchemaUnreadable:
            continue
        if complete.contract is endpoint.contract:
            found[name] = describe_endpoint(plain_endpoint(complete), spec.source.connection)
    return found


def describe_endpoint(options: Mapping[str, Any], connection: str | None) -> str:
    """Returns the endpoint's description and its YAML in Markdown; ``options`` are its merged options as plain data.

    Literal values under names that usually hold secrets are hidden; the check of specs refuses them already. A longer
    YAML than ``MOST_SHOWN`` is cut, and ends with a digest of the whole, so that each change shows.
    """
    shown = {name: value for name, value in options.items() if name != "description"}
    if connection is not None:
        shown.setdefault("connection", connection)
    if "request" in shown:
        shown["request"] = _hide_in_request(shown["request"])
    incremental = shown.get("incremental")
    if isinstance(incremental, dict) and isinstance(incremental.get("first_run"), dict):
        first = incremental["first_run"]
        if "request" in first:
            first = {**first, "request": _hide_in_request(first["request"])}
            shown["incremental"] = {**incremental, "first_run": first}
    text = f"```yaml\n{_cut(yaml_text(shown))}```\n"
    description = options.get("description")
    return f"{description}\n\n{text}" if description else text


def _hide_in_request(request: Any) -> Any:
    if not isinstance(request, dict):
        return request
    hidden = {
        name: _hide(request[name])
        for name in NAMED_VALUES
        if isinstance(request.get(name), dict) and request[name]
    }
    return {**request, **hidden} if hidden else request


def _hide(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: REDACTED if _is_literal(part) and names_secret(name) else _hide(part)
            for name, part in value.items()
        }
    return [_hide(part) for part in value] if isinstance(value, list) else value


def _is_literal(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and "{{" not in value


def _cut(text: str) -> str:
    if len(text) <= MOST_SHOWN:
        return text
    kept = text[: text.rfind("\n", 0, MOST_SHOWN) + 1]
    more = text.count("\n") - kept.count("\n")
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{kept}# {more:,} lines more; SHA-256 of the whole: {digest}\n"
