"""Rules about requests that go to another base URL than the connection's."""

from __future__ import annotations

import re

from oauth_taskflow.specs.problem import Finding
from oauth_taskflow.specs.rules.registry import EndpointView, Findings, endpoint_rule
from oauth_taskflow.specs.template_names import WHOLE_TEMPLATE
from oauth_taskflow.urls import is_loopback, split_url

_FILLED = "x"
_SINGLE_BRACES = re.compile(r"\{(\w*)\}")
_KEYS = ("base_url", "url")


@endpoint_rule("url-conflict", about="request.url")
def url_conflict(view: EndpointView) -> Findings:
    """A request goes to a path below a base URL, or to the whole URL that a record has; not to both.

    Bad: `request: {url: "{{ file.url }}", path: /v3/files}`

    Good: `request: {url: "{{ file.url }}"}`, or `request: {base_url: "{{ site.api }}", path: /v3/files}`
    """
    request = view.endpoint.request
    for name in ("path", "base_url"):
        if request.url is not None and getattr(request, name) is not None:
            hint = f"Keep one of them; {name}: null takes a default out."
            yield Finding(
                ("request", "url"), f"url and {name} both say where the request goes", hint
            )


@endpoint_rule("bad-url", about=("request.base_url", "request.url"))
def bad_url(view: EndpointView) -> Findings:
    """`base_url` and `url` are absolute: scheme, host, path. Their origins must be in the connection's `allowed_origins`.

    Bad: `base_url: /v3`, `base_url: https://x.example/v3?a=1`, `url: "https://{id}.x.example"`

    Good: `base_url: "https://{{ params.region }}.x.example/v3"`, `url: "{{ file.url_private }}"`
    """
    for name in _KEYS:
        text = getattr(view.endpoint.request, name) or ""
        if not text or text.lstrip().startswith("{"):
            continue  # the template gives the URL
        for message, hint in _flaws(name, text):
            yield Finding(("request", name), message, hint)


def _flaws(name: str, text: str) -> list[tuple[str, str]]:
    literal = WHOLE_TEMPLATE.sub("", text)
    if lost := _SINGLE_BRACES.search(literal):
        hint = f'Write "{{{{ {lost[1] or "name"} }}}}"; placeholders such as {lost[0]} are filled in hosts of connections.'
        return [(f"{lost[0]} gets no value", hint)]
    if "{" in literal:
        return []  # a broken template, which another rule finds
    filled = WHOLE_TEMPLATE.sub(_FILLED, text)
    parts = split_url(filled.strip())
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        return [
            (
                "this is not an absolute http or https URL",
                "Write it as in https://eu.example.com/v3.",
            )
        ]
    found = []
    if "@" in parts.netloc:
        found.append(("the URL holds a user name or password", "Put them into the connection."))
    if parts.fragment or (name == "base_url" and parts.query):
        found.append(("the URL holds a query or fragment", "Write the query under params."))
    if {".", ".."} & set(parts.path.split("/")):
        found.append(("a segment . or .. names another resource", "Write the path out."))
    return found


@endpoint_rule("clear-text-url", "warning", about=("request.base_url", "request.url"))
def clear_text_url(view: EndpointView) -> Findings:
    """Over http each machine on the way can read the credentials (RFC 6750 §5.3).

    Bad: `base_url: "http://{{ params.region }}.x.example"`

    Good: `base_url: "https://{{ params.region }}.x.example"`
    """
    for name in _KEYS:
        text = getattr(view.endpoint.request, name) or ""
        parts = split_url(WHOLE_TEMPLATE.sub(_FILLED, text.strip()))
        if parts is not None and parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            yield Finding(("request", name), "the request travels unencrypted", "Write https://.")
