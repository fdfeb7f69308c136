"""Finds the names that a template refers to, without rendering it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from msgspec import Struct

if TYPE_CHECKING:
    from jinja2 import nodes
    from jinja2.sandbox import SandboxedEnvironment

Place = tuple[str | int, ...]
# Jinja's parser and generator take microseconds a character: a text that long is data, or a mistake.
MAX_TEMPLATE = 20_000
_MARK = re.compile(r"\{[{%#]")
_LOOKUP = r"\{\{\s*([A-Za-z_]\w*)(?:\.([A-Za-z_]\w*))?\s*\}\}"
# Jinja's literals and the words of its grammar: they cannot be names.
_WORDS = frozenset(
    [
        "true",
        "false",
        "none",
        "True",
        "False",
        "None",
        "and",
        "or",
        "not",
        "in",
        "is",
        "if",
        "else",
        "import",
        "recursive",
    ]
)
TAKEN_WORDS = frozenset({"true", "false", "none", "True", "False", "None", "not", "self"})
"""Names that mean something else in every template, whatever value is given for them."""
_ONE_LOOKUP = re.compile(_LOOKUP, re.ASCII)
_ONLY_LOOKUPS = re.compile(rf"(?:[^{{]|\{{(?![{{%#])|{_LOOKUP})*\Z", re.ASCII)


class Template(Struct, frozen=True):
    """The names a text refers to, each with the attribute taken from it (or empty text), or why it cannot be parsed."""

    references: frozenset[tuple[str, str]] = frozenset()
    error: str = ""


_PLAIN = Template()


@lru_cache(maxsize=4096)
def parse_template(text: str) -> Template:
    """Find the names that ``text`` refers to. Loads Jinja only for templates that are more than look-ups."""
    if _MARK.search(text) is None:
        return _PLAIN
    if len(text) > MAX_TEMPLATE:
        return Template(error=f"longer than {MAX_TEMPLATE} characters")
    if _ONLY_LOOKUPS.match(text):
        found = frozenset(_ONE_LOOKUP.findall(text))
        if _WORDS.isdisjoint(name for name, _ in found):
            return Template(found)
    return _parse_with_jinja(text)


def template_texts(value: Any, path: Place) -> Iterator[tuple[Place, str]]:
    """Every text inside ``value``, with its path below ``path``."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from template_texts(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from template_texts(child, (*path, index))


def braced_texts(value: dict[Any, Any] | list[Any], path: Place) -> Iterator[tuple[Place, str]]:
    """Every text inside ``value`` that has a brace, with its path below ``path``: what may be a template, or was meant as one."""
    children: Iterable[tuple[Any, Any]] = (
        value.items() if isinstance(value, dict) else enumerate(value)
    )
    for key, child in children:
        if isinstance(child, str):  # most children are: no call for those without a brace
            if "{" in child or "}" in child:
                yield (*path, key), child
        elif isinstance(child, dict | list):
            yield from braced_texts(child, (*path, key))


def window_bounds(request: Any) -> set[str]:
    """Find which bounds of the window (``start``, ``end``) the templates of a ``request`` send; ``request`` is plain data."""
    parsed = [parse_template(text) for _, text in template_texts(request, ()) if "window" in text]
    return find_sent_bounds(reference for template in parsed for reference in template.references)


def page_names(request: Any) -> frozenset[str]:
    """Find which values of the page the templates of a ``request`` place, such as ``token``; ``request`` is plain data."""
    parsed = (parse_template(text) for _, text in template_texts(request, ()) if "page" in text)
    return find_page_names(reference for template in parsed for reference in template.references)


def find_page_names(references: Iterable[tuple[str, str]]) -> frozenset[str]:
    """Find which values of the page the ``references`` (name, attribute) use."""
    return frozenset(attribute for name, attribute in references if name == "page" and attribute)


def find_sent_bounds(references: Iterable[tuple[str, str]]) -> set[str]:
    """Find which bounds of the window the ``references`` (name, attribute) use; ``window`` as a whole counts as both."""
    taken = {attribute for name, attribute in references if name == "window"}
    named = taken & {"start", "end"}
    return named or ({"start", "end"} if taken else set())


@lru_cache(maxsize=1)
def _environment() -> SandboxedEnvironment:
    from jinja2.sandbox import SandboxedEnvironment  # noqa: PLC0415  # most specs need only look-ups

    return SandboxedEnvironment(cache_size=0)


def _parse_with_jinja(text: str) -> Template:
    from jinja2 import TemplateError, nodes  # noqa: PLC0415  # as above

    environment = _environment()
    try:
        tree = environment.parse(text)
        unknown = sorted(_unknown_filters(tree, environment))
        if unknown:
            return Template(error=f"no filter or test named {unknown[0]!r}")
        free = _free_names(tree, environment)
    except (TemplateError, ValueError, RecursionError) as error:
        reason = str(error).partition("\n")[0]
        return Template(error=reason or type(error).__name__)
    lookups: list[Any] = list(tree.find_all((nodes.Getattr, nodes.Getitem)))
    taken = {
        (look.node.name, _attribute(look))
        for look in lookups
        if isinstance(look.node, nodes.Name) and look.node.name in free
    }
    bare = {(name, "") for name in free}
    return Template(frozenset(taken | bare))


def _free_names(tree: nodes.Template, environment: SandboxedEnvironment) -> set[str]:
    """The names that ``tree`` takes from outside, found without computing anything.

    ``jinja2.meta.find_undeclared_variables`` evaluates constant expressions on its way: ``{{ [1] * 99999999 }}``.
    """
    from jinja2 import meta, nodes  # noqa: PLC0415  # as above

    class Names(meta.TrackingCodeGenerator):
        def __init__(self, environment: SandboxedEnvironment) -> None:
            super().__init__(environment)
            self.optimizer = None

        def _output_child_to_const(self, *_: Any) -> str:
            raise nodes.Impossible

    names = Names(environment)
    names.visit(tree)
    return names.undeclared_identifiers - set(environment.globals)


def _attribute(node: Any) -> str:
    """The attribute or constant text key that ``node`` takes; empty when it is computed."""
    if hasattr(node, "attr"):
        return str(node.attr)
    key = getattr(node.arg, "value", None)
    return key if isinstance(key, str) else ""


def _unknown_filters(tree: nodes.Template, environment: SandboxedEnvironment) -> set[str]:
    from jinja2 import nodes  # noqa: PLC0415  # as above

    filters = {node.name for node in tree.find_all(nodes.Filter)} - set(environment.filters)
    tests = {node.name for node in tree.find_all(nodes.Test)} - set(environment.tests)
    return filters | tests
