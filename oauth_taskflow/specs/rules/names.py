"""Rules about templates: the names they use, and the names that no template uses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from oauth_taskflow.specs.problem import Finding, YamlPath
from oauth_taskflow.specs.rules.registry import (
    EndpointView,
    Findings,
    SpecView,
    endpoint_rule,
    spec_rule,
)
from oauth_taskflow.specs.template_names import (
    FIELD_NAMES,
    RESERVED_NAMES,
    WATERMARK,
    WATERMARK_NAMES,
    WINDOW,
    WINDOW_NAMES,
    destination_names,
    request_names,
)
from oauth_taskflow.suggestions import suggest_allowed
from oauth_taskflow.templates.names import OMIT, PAGE, PAGE_NAMES
from oauth_taskflow.templates.references import TAKEN_WORDS, Template

_OMIT, _OMIT_AND_PAGE = frozenset({OMIT}), frozenset({OMIT, PAGE})


@endpoint_rule("template-syntax")
def template_syntax(view: EndpointView) -> Findings:
    """A template that Jinja cannot read, or a filter it does not have.

    Bad: `path: "/v3/{{ contact.id }"`

    Good: `path: "/v3/{{ contact.id }}"`
    """
    templates = [*view.request_templates, *view.field_templates, *view.destination_templates]
    for path, template in templates:
        if template.error:
            yield Finding(path, f"not a template: {template.error}", "See the Jinja syntax.")


@endpoint_rule("undefined-template-name")
def undefined_template_name(view: EndpointView) -> Findings:
    """A template uses a name that nothing provides: the task would fail when it renders.

    Provided are the run's names (`ds`, `params`, `endpoint`, ...) and each `for_each` variable. Requests also have `omit`,
    with `incremental` `window.start` and `window.end`, with a stored watermark `watermark.value` and `watermark.cursor`.
    The paginator adds those of `page.token`, `page.number`, `page.offset` and `page.size` that it has. Templates of
    `fields.set` also have `record` and `now`. A destination has neither `window` nor records of a parent.

    Bad: `params: {since: "{{ windw.start }}"}`

    Good: `params: {since: "{{ window.start }}"}` with `incremental: {field: updatedAt, start: 2024-01-01}`
    """
    options = view.endpoint.incremental
    names = request_names(
        view.endpoint.for_each, incremental=options is not None, watermark=_keeps_watermark(view)
    )
    for path, template in view.request_templates:
        yield from _find_undefined(view, path, template, names, _request_values(view, template))
    for path, template in view.field_templates:
        yield from _find_undefined(view, path, template, names | FIELD_NAMES)
    names = destination_names(view.lists)
    for path, template in view.destination_templates:
        yield from _find_undefined(view, path, template, names)


def _keeps_watermark(view: EndpointView) -> bool:
    options = view.endpoint.incremental
    return options is not None and options.keeps_watermark


def _find_undefined(
    view: EndpointView,
    path: YamlPath,
    template: Template,
    names: frozenset[str],
    beside: frozenset[str] = frozenset(),
) -> Findings:
    references = template.references
    for name, attribute in sorted(references) if len(references) > 1 else references:
        if name not in names and name not in beside and name not in template.built_in:
            hint = _copy_hint(view, name, attribute, names) or _name_hint(name, names)
            yield Finding(path, f"nothing provides the name {name!r}", hint)
        elif attribute:
            yield from _find_undefined_attribute(view, path, name, attribute)


def _request_values(view: EndpointView, template: Template) -> frozenset[str]:
    """The names of values that only requests have; ``page`` where the rule ``page-name-misfit`` judges it."""
    takes_value = any(name == PAGE and of in PAGE_NAMES for name, of in template.references)
    return _OMIT_AND_PAGE if takes_value or view.page_names else _OMIT


def _copy_hint(view: EndpointView, name: str, attribute: str, known: frozenset[str]) -> str:
    """How to use a variable of the parent, whose records only the parent sees; empty for other names."""
    for variable, (parent, _) in view.parents.items():
        sibling = view.siblings.get(parent)
        if variable in known and sibling is not None and name in sibling.for_each:
            copied, source = (f"{name}_{attribute}", attribute) if attribute else (name, '"@"')
            return (
                f"Let {parent!r} copy it: for_each.{name}.copy: {{{copied}: {source}}}, and write "
                f"{{{{ {variable}.{copied} }}}}."
            )
    return ""


def _name_hint(name: str, names: frozenset[str]) -> str:
    if name == WINDOW:
        return "The window is there in requests of endpoints with incremental."
    if name == WATERMARK:
        return (
            "The stored watermark is there in requests of endpoints with incremental.by: watermark."
        )
    return suggest_allowed(name, names)


def _find_undefined_attribute(
    view: EndpointView, path: YamlPath, name: str, attribute: str
) -> Findings:
    attributes: Iterable[str] | None = None
    if name == WINDOW:
        attributes = WINDOW_NAMES
    elif name == WATERMARK and _keeps_watermark(view):
        attributes = None if attribute == "get" else WATERMARK_NAMES
    elif name == "params" and attribute != "get":
        attributes = view.source.params
    elif name in view.lists and not _has_attribute(view.lists[name][0], attribute):
        hint = f'Write "{{{{ {name} }}}}": the values of a list have no fields.'
        yield Finding(path, f"nothing provides the name '{name}.{attribute}'", hint)
    if attributes is not None and attribute not in attributes:
        hint = suggest_allowed(attribute, attributes)
        if name == "params" and not hint:
            hint = f"Declare it at the top of the file: params: {{{attribute}: ...}}."
        yield Finding(path, f"nothing provides the name '{name}.{attribute}'", hint)


def _has_attribute(values: Iterable[Any], attribute: str) -> bool:
    """Whether all ``values`` have ``attribute``, such as a method of texts."""
    return all(hasattr(value, attribute) for value in values)


@endpoint_rule("unused-variable", "warning", about="for_each")
def unused_variable(view: EndpointView) -> Findings:
    """A `for_each` variable that no template uses sends the same request again and again.

    Bad: `for_each: {region: [eu, us]}` with `request: {path: /orders}`

    Good: `for_each: {region: [eu, us]}` with `request: {path: "/{{ region }}/orders"}`
    """
    for name in view.endpoint.for_each:
        if name.isidentifier() and name not in view.names_used | TAKEN_WORDS:
            hint = f'Use "{{{{ {name} }}}}" in the request, or remove it.'
            yield Finding(("for_each", name), f"no template uses {name!r}", hint, at_key=True)


@endpoint_rule("bad-variable-name", about="for_each")
def bad_variable_name(view: EndpointView) -> Findings:
    """A `for_each` variable must be usable in templates and must not hide a name that is there already.

    Bad: `for_each: {contact-id: contacts}` (Jinja reads a minus), `for_each: {params: contacts}`, `for_each: {self: contacts}`

    Good: `for_each: {contact: contacts}`
    """
    for name in view.endpoint.for_each:
        if not name.isidentifier():
            hint = f"Write {name.replace('-', '_')}."
            message = f"templates cannot use the name {name!r}"
            yield Finding(("for_each", name), message, hint, at_key=True)
        elif name in TAKEN_WORDS:
            message = f"{name!r} means something else in templates"
            yield Finding(("for_each", name), message, "Choose another name.", at_key=True)
        elif name in RESERVED_NAMES or (name == WATERMARK and _keeps_watermark(view)):
            message = f"the name {name!r} is already taken by the run"
            yield Finding(("for_each", name), message, "Choose another name.", at_key=True)


@spec_rule("unused-param", "warning")
def unused_param(view: SpecView) -> Findings:
    """Setting a DAG param has no effect when no template uses it.

    Bad: `params: {region: eu}` with no `{{ params.region }}` anywhere

    Good: `params: {region: eu}` with `request: {params: {region: "{{ params.region }}"}}`
    """
    if not view.source.params:
        return
    used = {
        attribute
        for endpoint in view.endpoints
        for each in filter(None, (endpoint, endpoint.first_run))
        for name, attribute in (*each.references, *each.field_references)
        if name == "params"
    }
    if used & {"", "get"} and not used >= set(view.source.params):
        return  # taken whole or by a computed name somewhere: cannot know
    for name in view.source.params:
        if name not in used:
            message = f"no template uses the param {name!r}"
            yield Finding(("params", name), message, "Remove it.", at_key=True)


@spec_rule("endpoint-name-collision", "warning")
def endpoint_name_collision(view: SpecView) -> Findings:
    """Endpoint names that differ only in case or in - and _ share folders in some stores, and confuse people.

    Bad: `endpoints: {open-deals: ..., open_deals: ...}`

    Good: `endpoints: {open_deals: ..., all_deals: ...}`
    """
    seen: dict[str, str] = {}
    for name in view.spec.endpoints:
        plain = name.lower().replace("-", "_")
        if plain in seen:
            message = f"the name is too much like {seen[plain]!r}"
            yield Finding(("endpoints", name), message, "Choose another name.", at_key=True)
        seen.setdefault(plain, name)


@spec_rule("task-id-collision")
def task_id_collision(view: SpecView) -> Findings:
    """An endpoint with `for_each` gets helper tasks, whose names no endpoint may have.

    They are `<name>__done` and, with a parent, `<name>__batches`.

    Bad: `endpoints: {notes: {for_each: {c: contacts}, ...}, notes__batches: ...}`

    Good: any other name
    """
    for endpoint in view.endpoints:
        helpers = [f"{endpoint.name}__batches"] if endpoint.parents else []
        helpers += [f"{endpoint.name}__done"] if endpoint.endpoint.for_each else []
        for helper in helpers:
            if helper in view.spec.endpoints:
                message = f"the task id {helper!r} is needed by endpoint {endpoint.name!r}"
                yield Finding(("endpoints", helper), message, "Choose another name.", at_key=True)
