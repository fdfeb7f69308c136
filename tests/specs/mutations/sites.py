"""Where a good spec can be changed: its keys and values with their places in the text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import yaml

from oauth_taskflow.schema.json_schema import describe_model
from oauth_taskflow.specs.model import DagSpec

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

# Below these keys names are the author's or the API's own: the format does not know them.
FREE = frozenset({"params", "headers", "json", "form", "copy", "header", "require", "options"})
_NAMED = frozenset({"endpoints", "for_each", "owner_links"})


@dataclass(frozen=True)
class Mutant:
    """A spec with one mistake, of what ``kind`` it is, and the lines where a problem helps."""

    base: str
    kind: str
    text: str
    lines: frozenset[int]


@dataclass(frozen=True)
class Site:
    """One key with its value. ``path`` begins at the top; ``around`` is the mapping both are in."""

    path: tuple[str | int, ...]
    key: Any
    value: Any
    around: Any

    @property
    def name(self) -> str:
        return str(self.key.value)

    @property
    def is_scalar(self) -> bool:
        return isinstance(self.value, yaml.ScalarNode)

    @property
    def text(self) -> str:
        return str(self.value.value) if self.is_scalar else ""

    @cached_property
    def is_format(self) -> bool:
        """Whether the key is one of the format's, not a name of the author's or the API's own."""
        above = [part for part in self.path[:-1] if isinstance(part, str)]
        named = above[-1:] and above[-1] in _NAMED
        request = "request" in above or above[:1] == ["params"] or above[-1:] == ["params"]
        free = any(part in FREE for part in above[1:] or above) if request or above else False
        return not named and not free

    @cached_property
    def is_endpoint(self) -> bool:
        return len(self.path) == 2 and self.path[0] == "endpoints"

    def below(self) -> tuple[str | int, ...]:
        """The path inside the endpoint or the defaults; empty for keys at the top."""
        skipped = {"endpoints": 2, "defaults": 1}.get(str(self.path[0]), 0)
        return self.path[skipped:] if skipped else ()


class Base:
    """A good spec, its text and its sites."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.data = yaml.load(text, _Loader)
        root = yaml.compose(text, _Loader)
        self.sites = list(_sites(root, ()))
        self.lines = text.splitlines(keepends=True)

    def edit(self, kind: str, begin: int, end: int, new: str, *lines: int) -> Mutant:
        """The text with ``new`` from ``begin`` to ``end``; by default the line of ``begin`` is the right one."""
        text = self.text[:begin] + new + self.text[end:]
        here = self.text.count("\n", 0, begin) + 1
        return Mutant(self.name, kind, text, frozenset({here, *lines}))

    def replace_value(self, kind: str, site: Site, new: str, *lines: int) -> Mutant:
        """The text with another value, as it is written, at ``site``; the line of the key is right too."""
        begin, end = site.value.start_mark.index, _end(site.value, self.text)
        line = site.key.start_mark.line + 1
        if site.value.start_mark.line > site.key.start_mark.line and not new.startswith("\n"):
            begin = site.key.end_mark.index + 1
            new = f" {new}"
        if not self.text[begin:end].rstrip(" ").endswith("\n"):
            return self.edit(kind, begin, end, new, line, *lines)
        return self.edit(kind, begin, end, f"{new}\n", line, *lines)

    def replace_key(self, kind: str, site: Site, new: str, *lines: int) -> Mutant:
        """The text with another key, as it is written, at ``site``."""
        return self.edit(kind, site.key.start_mark.index, site.key.end_mark.index, new, *lines)

    def insert(self, kind: str, mapping: Any, entry: str, *lines: int) -> Mutant | None:
        """The text with ``entry`` as first of ``mapping``."""
        if not mapping.value:
            return None
        begin = mapping.value[0][0].start_mark
        gap = ", " if mapping.flow_style else f"\n{' ' * begin.column}"
        return self.edit(kind, begin.index, begin.index, f"{entry}{gap}", *lines)

    def remove(self, kind: str, site: Site, *lines: int) -> Mutant:
        """The text without key and value of ``site``; the line of what it was in is right too."""
        begin, end = self.span(site)
        parent = site.around.start_mark.line + 1
        gone, here = self.text.count("\n", begin, end), site.key.start_mark.line + 1
        moved = [line - gone for line in lines if line > here]
        return self.edit(kind, begin, end, "", parent, max(parent - 1, 1), *lines, *moved)

    def move_into(self, kind: str, site: Site, into: Any) -> Mutant:
        """The text with key and value of ``site`` as first of the mapping ``into``."""
        entry = self.text[site.key.start_mark.index : site.value.end_mark.index]
        at = into.value[0][0].start_mark
        gap = ", " if into.flow_style else f"\n{' ' * at.column}"
        begin, end = self.span(site)
        edits = sorted([(begin, end, ""), (at.index, at.index, entry + gap)], reverse=True)
        text = self.text
        for first, last, new in edits:
            text = text[:first] + new + text[last:]
        near = {at.line, at.line + 1, at.line + 2, site.key.start_mark.line + 1}
        return Mutant(self.name, kind, text, frozenset(near))

    def span(self, site: Site) -> tuple[int, int]:
        """Begin and end of what goes away with ``site``: whole lines, or up to a comma."""
        begin, end = site.key.start_mark.index, _end(site.value, self.text)
        if not site.around.flow_style:
            begin = self.text.rfind("\n", 0, begin) + 1
            return begin, self.text.find("\n", end - 1) + 1 or len(self.text)
        after = self.text[end:]
        if after.lstrip().startswith(","):
            return begin, end + len(after) - len(after.lstrip()) + 1
        comma, opened = self.text.rfind(",", 0, begin), self.text.rfind("{", 0, begin) + 1
        return max(comma, opened), end

    def uses(self, word: str) -> list[int]:
        """The lines that contain ``word``."""
        return [number for number, line in enumerate(self.lines, 1) if word in line]


def _end(node: Any, text: str) -> int:
    end = node.end_mark.index
    if isinstance(node, yaml.ScalarNode) or node.flow_style:
        return int(end)
    return len(text[:end].rstrip()) + 1


def _sites(node: Any, path: tuple[str | int, ...]) -> Iterator[Site]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                below = (*path, key.value)
                yield Site(below, key, value, node)
                yield from _sites(value, below)
    elif isinstance(node, yaml.SequenceNode):
        for index, child in enumerate(node.value):
            yield from _sites(child, (*path, index))


@lru_cache(maxsize=1)
def definitions() -> dict[str, Any]:
    """The format's types by name."""
    return describe_model(DagSpec)
