"""Rules about the values of a page in templates, and about what templates leave out."""

from __future__ import annotations

import re
from collections.abc import Iterator

from oauth_taskflow.specs.problem import Finding, YamlPath
from oauth_taskflow.specs.rules.registry import EndpointView, Findings, endpoint_rule
from oauth_taskflow.specs.template_names import WHOLE_TEMPLATE
from oauth_taskflow.suggestions import suggest_allowed
from oauth_taskflow.templates.names import OMIT, PAGE, PAGE_NAMES

_BARE = re.compile(rf"\{{\{{-?\s*{PAGE}\.(\w+)\s*-?\}}\}}")
# An author who asks whether there is a value knows that page one has none.
_ASKED = re.compile(rf"\{{%[^%]*\b{PAGE}\.(\w+)\s+is\s+(?:not\s+|un)?defined")
_STYLES = {
    "token": "cursor or keyset",
    "number": "page",
    "offset": "offset",
    "size": "page, offset, cursor or keyset, with a size",
}


@endpoint_rule("page-name-misfit")
def page_name_misfit(view: EndpointView) -> Findings:
    """A template places a value of the page that the paginator does not have.

    `cursor` and `keyset` have `page.token`, `page` has `page.number`, `offset` has `page.offset`; each has `page.size` with
    `size`.

    Bad: `json: {query: "{{ page.number }}"}` with `paginate: {type: cursor, next: meta.next}`

    Good: `json: {query: "{{ page.token | default(omit) }}"}` with `paginate: {type: cursor, next: meta.next}`
    """
    for path, attribute in _references(view):
        if attribute in view.page_names:
            continue
        if attribute not in PAGE_NAMES and not view.page_names:
            continue  # the rule undefined-template-name says more
        if attribute not in PAGE_NAMES:
            what = f"page.{attribute}" if attribute else "page as a whole"
            hint = suggest_allowed(attribute, PAGE_NAMES) if attribute else "Write page.token."
            yield Finding(path, f"nothing provides {what!r}", hint)
        else:
            paginate = view.endpoint.paginate
            style = "none" if paginate is None else str(paginate.__struct_config__.tag)
            missing = " without size" if attribute == "size" and view.page_names else ""
            message = f"pages of type {style} have no {PAGE}.{attribute}{missing}"
            yield Finding(path, message, f"It is there with type {_STYLES[attribute]}.")


@endpoint_rule("page-one-undefined", about="paginate")
def page_one_undefined(view: EndpointView) -> Findings:
    """`page.token` has no value on page one, so that a template with it alone fails there.

    The same holds for `page.number` and `page.offset` with `send_first: false`. `omit` leaves the parameter, header, key or
    list item out.

    Bad: `params: {after: "{{ page.token }}"}`

    Good: `params: {after: "{{ page.token | default(omit) }}"}`, `json: {after: "{{ page.token | default(none) | tojson }}"}`,
    `path: "/rows{% if page.token is defined %}/{{ page.token }}{% endif %}"`
    """
    paginate = view.endpoint.paginate
    if paginate is None or not (late := paginate.late_page_names & view.placed_names):
        return
    for path, text in _request_texts(view):
        for name in sorted({*_BARE.findall(text)} - {*_ASKED.findall(text)}):
            if name in late:
                message = f"{PAGE}.{name} has no value on page one"
                hint = f'Write "{{{{ {PAGE}.{name} | default(omit) }}}}" to leave it out there.'
                yield Finding(path, message, hint)


@endpoint_rule("value-placed-twice", about="paginate")
def value_placed_twice(view: EndpointView) -> Findings:
    """A template places the value, and an option names a parameter for it, which would not be sent.

    Bad: `params: {q: "startposition {{ page.offset }}"}` with `paginate: {type: offset, param: start}`

    Good: the same with `paginate: {type: offset}`
    """
    paginate = view.endpoint.paginate
    written = view.raw.get("paginate")
    if paginate is None or not isinstance(written, dict):
        return
    for name in sorted(view.placed_names):
        options = ("size_param",) if name == "size" else ("param", "body")
        for option in options:
            if written.get(option):
                message = f"a template places {PAGE}.{name}, so that {option} is not sent"
                yield Finding(
                    ("paginate", option), message, "Keep one of them; null takes a default out."
                )


@endpoint_rule("omit-inside-text")
def omit_inside_text(view: EndpointView) -> Findings:
    """`omit` leaves a whole parameter, header, key or list item out; a path and a longer text cannot be left out.

    Bad: `path: "/rows/{{ page.token | default(omit) }}"`, `params: {q: "after {{ page.token | default(omit) }}"}`

    Good: `params: {after: "{{ page.token | default(omit) }}"}`, `path: "/rows{% if page.token is defined %}/next{% endif %}"`
    """
    for path, template in view.request_templates:
        if (OMIT, "") not in template.references or OMIT in view.endpoint.for_each:
            continue
        text = _text_at(view, path)
        target = path[:-1] == ("request",) and path[-1] in {"path", "base_url", "url"}
        if target or not _is_whole(text):
            where = f"the {path[-1]}".replace("_", " ") if target else "a part of a text"
            hint = "Let the template be the whole value, or write {% if … %} around the text."
            yield Finding(path, f"omit cannot leave out {where}", hint)


@endpoint_rule("hidden-template-name", "warning", about="for_each")
def hidden_template_name(view: EndpointView) -> Findings:
    """A `for_each` variable named `page` hides the values of the page, and a template seems to mean those.

    Bad: `for_each: {page: pages}` with `params: {after: "{{ page.token }}"}` and `paginate: {type: cursor, next: n}`

    Good: `for_each: {site: pages}` with the same
    """
    if PAGE not in view.endpoint.for_each or not view.page_names:
        return
    for path, template in view.request_templates:
        for name, attribute in sorted(template.references):
            if name == PAGE and attribute in view.page_names:
                message = f"{PAGE}.{attribute} is a field of the variable {PAGE!r} here, not a value of the page"
                yield Finding(path, message, "Choose another name for the variable.")


def _references(view: EndpointView) -> Iterator[tuple[YamlPath, str]]:
    if PAGE in view.endpoint.for_each:
        return
    for path, template in view.request_templates:
        taken = {attribute for name, attribute in template.references if name == PAGE}
        yield from ((path, attribute) for attribute in sorted(taken - {""} or taken))


def _request_texts(view: EndpointView) -> Iterator[tuple[YamlPath, str]]:
    return iter(view.request_texts)


def _text_at(view: EndpointView, path: YamlPath) -> str:
    return next(text for where, text in _request_texts(view) if where == path)


def _is_whole(text: str) -> bool:
    found = WHOLE_TEMPLATE.fullmatch(text.strip())
    return found is not None and text.strip().startswith("{{") and text.count("{{") == 1
