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
_KEYWORD = re.compile(r"(\w+)\s*=(?!=)")
_FUNCTION = re.compile(r"\b(?:macro|call)\b")
# Python takes twenty blocks within each other.
_MANY_BLOCKS = 20
_ONLY_LOOKUPS = re.compile(rf"(?:[^{{]|\{{(?![{{%#])|{_LOOKUP})*\Z", re.ASCII)


class Template(Struct, frozen=True):
    """The names a text refers to, each with the attribute taken from it (or empty text), or why it cannot be parsed.

    ``built_in`` are those of them that Jinja has a value for where the run has none, such as ``range``.
    """

    references: frozenset[tuple[str, str]] = frozenset()
    error: str = ""
    built_in: frozenset[str] = frozenset()


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
    # Loads Jinja, and most specs need only look-ups.
    from oauth_taskflow.templates.sandbox import Sandbox  # noqa: PLC0415

    return Sandbox(str, cache_size=0)


def _parse_with_jinja(text: str) -> Template:
    from jinja2 import TemplateError, nodes  # noqa: PLC0415  # as above

    environment = _environment()
    try:
        tree = environment.parse(text)
        flaw = _find_flaw(tree, environment)
        if flaw:
            return Template(error=flaw)
        free = _free_names(tree, environment)
        if _may_not_compile(text):
            environment.compile(text)
    except SyntaxError as error:
        return Template(error=error.msg)
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
    return Template(frozenset(taken | bare), built_in=frozenset(free & environment.globals.keys()))


def _find_flaw(tree: nodes.Template, environment: SandboxedEnvironment) -> str:
    """Why ``tree`` fails whatever the names are; empty when it need not."""
    from jinja2 import nodes  # noqa: PLC0415  # as above

    loads = tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends))
    if next(loads, None) is not None:
        return "include, import and extends need files, which templates of a spec do not have"
    unknown = sorted(_unknown_filters(tree, environment))
    return f"no filter or test named {unknown[0]!r}" if unknown else ""


def _may_not_compile(text: str) -> bool:
    """Whether Python may refuse what Jinja accepts: one keyword twice, macros, deep blocks. Compiling takes milliseconds."""
    keywords = _KEYWORD.findall(text)
    return (
        len(keywords) > len(set(keywords))
        or _FUNCTION.search(text) is not None
        or text.count("{%") > _MANY_BLOCKS
    )


def _free_names(tree: nodes.Template, environment: SandboxedEnvironment) -> set[str]:
    """The names that ``tree`` takes from outside, without functions of Jinja that it only calls. Computes nothing.

    ``jinja2.meta.find_undeclared_variables`` evaluates constant expressions on its way: ``{{ [1] * 99999999 }}``.
    """
    from jinja2 import idtracking, meta, nodes  # noqa: PLC0415  # as above

    class Names(meta.TrackingCodeGenerator):
        def __init__(self, environment: SandboxedEnvironment) -> None:
            super().__init__(environment)
            self.optimizer = None

        def enter_frame(self, frame: Any) -> None:
            super().enter_frame(frame)
            # Jinja leaves out its globals here, but a variable may have the name of one.
            self.undeclared_identifiers.update(
                name
                for action, name in frame.symbols.loads.values()
                if action == idtracking.VAR_LOAD_RESOLVE
            )

        def _output_child_to_const(self, *_: Any) -> str:
            raise nodes.Impossible

    names = Names(environment)
    names.visit(tree)
    return names.undeclared_identifiers - (environment.globals.keys() - _uncalled_names(tree))


def _uncalled_names(tree: nodes.Template) -> set[str]:
    """The names that ``tree`` uses in another way than by calling them."""
    from jinja2 import nodes  # noqa: PLC0415  # as above

    called = {id(call.node) for call in tree.find_all(nodes.Call)}
    return {name.name for name in tree.find_all(nodes.Name) if id(name) not in called}


def _attribute(node: Any) -> str:
    """The attribute or constant text key that ``node`` takes; empty when it is computed."""
    if hasattr(node, "attr"):
        return str(node.attr)
    key = getattr(node.arg, "value", None)
    return key if isinstance(key, str) else ""


def _unknown_filters(tree: nodes.Template, environment: SandboxedEnvironment) -> set[str]:
    from jinja2 import nodes  # noqa: PLC0415  # as above

    # Names that begin with _ are the sandbox's own.
    known = {name for name in environment.filters if not name.startswith("_")}
    filters = {node.name for node in tree.find_all(nodes.Filter)} - known
    tests = {node.name for node in tree.find_all(nodes.Test)} - set(environment.tests)
    return filters | tests
