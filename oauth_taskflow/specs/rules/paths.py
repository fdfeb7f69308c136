"""Rules about a request's path: what of it would not reach the API as it is written."""

from __future__ import annotations

import re

from oauth_taskflow.specs.problem import Finding
from oauth_taskflow.specs.rules.registry import EndpointView, Findings, endpoint_rule
from oauth_taskflow.specs.template_names import WHOLE_TEMPLATE

# Nearly every path consists of these: only a segment of dots is wrong in it.
_PLAIN = re.compile(r"/[\w/.,;=@~()*!'$&+-]*\Z", re.ASCII)
_SINGLE_BRACES = re.compile(r"\{[^{}]*\}")
_FILLED = "x"
_BLANK = re.compile(r"\s")
_FORBIDDEN = re.compile(r"[\\<>^`|\"]")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PLACEHOLDER = re.compile(r"(?:^|/):([A-Za-z_]\w*)(?=/|$)")


@endpoint_rule("bad-path")
def bad_path(view: EndpointView) -> Findings:
    """The path is sent as it is written, so it holds what a URL may hold (RFC 3986 §3.3).

    A segment `..` or `.` names another resource, and text after `#` is never sent. URLs cannot contain blanks, backslashes
    or `<id>`; `/:id` is a placeholder of other tools. A colon inside a segment is fine: `/v1/reports:run`.

    Bad: `path: /v3/../admin`, `path: /v3/contacts#all`, `path: "/v3/my contacts"`, `path: /v3/contacts/:id`

    Good: `path: /v3/contacts`, `path: "/v3/contacts/{{ contact.id }}"`
    """
    text = _fill(view)
    if "{" in text:
        return  # a broken template, which another rule finds
    path, _, query = text.partition("?")
    for message, hint in [*_flaws(path), *_query_flaws(query)]:
        yield Finding(("request", "path"), message, hint)


def _fill(view: EndpointView) -> str:
    """The path with a letter in place of each template."""
    text = view.endpoint.request.path or ""
    if "{" not in text:
        return text
    return _SINGLE_BRACES.sub(_FILLED, WHOLE_TEMPLATE.sub(_FILLED, text))


def _flaws(path: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if _PLAIN.match(path) and "/." not in path:
        return found
    if {".", ".."} & set(path.split("/")):
        found.append(("a segment . or .. names another resource", "Write the path out."))
    if "#" in path:
        found.append(("what follows # is never sent", "Write %23 if the API means the character."))
    if _BLANK.search(path):
        found.append(("a blank or line break in the path", "Remove it, or write %20."))
    for name in _PLACEHOLDER.findall(path):
        hint = f'Write "{{{{ {name} }}}}" with {name} under for_each or params.'
        found.append((f"the path parameter :{name} gets no value", hint))
    if bad := _FORBIDDEN.search(path):
        found.append(
            (f"{bad[0]!r} is not part of a URL", "Remove it, or write it percent-encoded.")
        )
    if _BAD_ESCAPE.search(path):
        found.append(("a % without two hexadecimal digits", "Write %25 for the character itself."))
    return found


def _query_flaws(query: str) -> list[tuple[str, str]]:
    if "#" in query:
        return [("what follows # is never sent", "Write %23 if the API means the character.")]
    if query != query.strip():
        return [("a blank or line break at the end of the path", "Remove it.")]
    return []


@endpoint_rule("relative-path", "warning")
def relative_path(view: EndpointView) -> Findings:
    """A path begins with a slash: without one it depends on how the connection's host ends.

    Bad: `path: v3/contacts`

    Good: `path: /v3/contacts`
    """
    path = view.endpoint.request.path
    if path and not path.startswith(("/", "{{", "{%", "?")) and ":" not in path:
        yield Finding(("request", "path"), "the path does not begin with /", f"Write /{path}.")


@endpoint_rule("empty-segment", "warning")
def empty_segment(view: EndpointView) -> Findings:
    """Two slashes in a row name another resource than one, and few APIs have such resources.

    Bad: `path: /v3//contacts`

    Good: `path: /v3/contacts`
    """
    path = _fill(view).partition("?")[0]
    if "//" in path[1:] and "://" not in path:
        yield Finding(("request", "path"), "two slashes in a row", "Write one.")
