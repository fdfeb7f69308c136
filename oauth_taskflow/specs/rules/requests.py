"""Rules about what is sent: path, method, body and connection."""

from __future__ import annotations

import re

from oauth_taskflow.specs.problem import Finding
from oauth_taskflow.specs.rules.registry import EndpointView, Findings, endpoint_rule

_ABSOLUTE = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.\-]*:)?//")
_BRACES = re.compile(r"(?<!\{)\{(\w+)\}(?!\})")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`|~]+")
_HEADER_VALUE = re.compile(r"[\t -~\x80-\xff]*")

# A whole template that gives an instant of the run, with a default or not.
_WHOLE_INSTANT = re.compile(
    r"\s*\{\{-?\s*(run_after|logical_date|data_interval_(?:start|end))\s*"
    r"(?:\|\s*default\([^{}]*\)\s*|\bor\s+\w+\s*)*-?\}\}\s*"
)


@endpoint_rule("missing-path")
def missing_path(view: EndpointView) -> Findings:
    """Every endpoint says which path it asks for; write `/` for the base URL itself. A whole `url` of a record needs none.

    Bad: `request: {params: {limit: 100}}`

    Good: `request: {path: /v3/contacts, params: {limit: 100}}`
    """
    request = view.endpoint.request
    if request.path is None and request.url is None:
        hint = "Write request: {path: /...}."
        yield Finding((), "the request has no path", hint)


@endpoint_rule("http-url")
def http_url(view: EndpointView) -> Findings:
    """The path is relative to the connection's base URL: credentials go to that host only.

    Bad: `path: https://api.example.com/v3/contacts`

    Good: `path: /v3/contacts`, and `https://api.example.com` as host of the connection.
    """
    if _ABSOLUTE.match(view.endpoint.request.path or ""):
        hint = "Put scheme and host into the connection and keep the path here."
        yield Finding(("request", "path"), "the path is an absolute URL", hint)


@endpoint_rule("path-parameter-without-value")
def path_parameter_without_value(view: EndpointView) -> Findings:
    """Single braces are not a template: they would be sent unchanged.

    Bad: `path: /v3/contacts/{id}/notes`

    Good: `path: "/v3/contacts/{{ contact.id }}/notes"` with `for_each: {contact: contacts}`
    """
    for name in _BRACES.findall(view.endpoint.request.path or ""):
        hint = f'Write "{{{{ {name} }}}}" with {name} under for_each or params.'
        yield Finding(("request", "path"), f"the path parameter {{{name}}} gets no value", hint)


@endpoint_rule("body-conflict", about=("request.json", "request.form"))
def body_conflict(view: EndpointView) -> Findings:
    """A request has one body, JSON or form, and only methods with a body send it.

    Bad: `request: {path: /search, json: {q: a}}` (GET)

    Good: `request: {method: POST, path: /search, json: {q: a}}`
    """
    request = view.endpoint.request
    bodies = [name for name in ("json", "form") if getattr(request, name) not in (None, {})]
    if len(bodies) == 2:
        yield Finding(("request", "form"), "json and form are both given", "Keep one body.")
    if bodies and request.method == "GET":
        message = f"a GET request carries no {bodies[0]} body"
        yield Finding(("request", bodies[0]), message, "Write method: POST, or use params.")


@endpoint_rule("instant-in-json", about="request.json")
def instant_in_json(view: EndpointView) -> Findings:
    """JSON has no instants: a whole template of one keeps its type, and the body could not be sent.

    Bad: `json: {since: "{{ data_interval_start }}"}`

    Good: `json: {since: "{{ data_interval_start.isoformat() }}"}`, `json: {since: "{{ window.start }}"}` with `incremental`
    """
    for path, text in view.request_texts:
        whole = _WHOLE_INSTANT.fullmatch(text) if path[:2] == ("request", "json") else None
        if whole is not None:
            hint = f'Write it as text: "{{{{ {whole[1]}.isoformat() }}}}".'
            yield Finding(path, f"{whole[1]} is an instant, which JSON does not have", hint)


@endpoint_rule("mapping-as-parameter", about=("request.params", "request.form"))
def mapping_as_parameter(view: EndpointView) -> Findings:
    """A query parameter or form field is one value or a list of values: of a mapping only the keys would be sent.

    Bad: `params: {filter: {status: open}}`, `params: {day: {ds}}` (quotes and braces are missing)

    Good: `params: {"filter[status]": open}`, `params: {day: "{{ ds }}"}`
    """
    request = view.raw.get("request") or {}
    for part in ("params", "form"):
        for name, value in (request.get(part) or {}).items():
            items = value if isinstance(value, list) else [value]
            if any(isinstance(item, dict | list) for item in items):
                kind = "a mapping" if isinstance(value, dict) else "a list of lists or mappings"
                hint = f'Write "{name}[key]": value, or a text; a template needs "{{{{ ... }}}}".'
                yield Finding(("request", part, name), f"{kind} cannot be sent", hint)


@endpoint_rule("bad-header", about="request.headers")
def bad_header(view: EndpointView) -> Findings:
    """A header's name is a token, its value one line of Latin-1 (RFC 9110 §5.1, §5.5).

    Bad: `headers: {"X Trace:": abc}`

    Good: `headers: {X-Trace: abc}`
    """
    for name, value in view.endpoint.request.headers.items():
        path = ("request", "headers", name)
        if not _TOKEN.fullmatch(name):
            hint = "Letters, digits and - are safe."
            yield Finding(path, f"{name!r} cannot be the name of a header", hint, at_key=True)
        if not _HEADER_VALUE.fullmatch(value.strip()):
            message = "a header cannot hold line breaks or characters outside Latin-1"
            yield Finding(path, message, "Write it on one line; encode what is not Latin-1.")


@endpoint_rule("connection-missing")
def connection_missing(view: EndpointView) -> Findings:
    """The DAG or the endpoint names the Airflow connection that holds host and credentials.

    Bad: a spec without `connection`

    Good: `connection: crm` at the top of the file
    """
    if view.endpoint.connection is None and view.source.connection is None:
        hint = "Write connection: <conn_id> at the top of the file."
        yield Finding((), "no connection is named", hint)
