"""YAML text to plain data, with the line and column of every node.

Data is built from parser events, which costs half of a full load and lets us refuse what YAML would let pass:
duplicate keys, keys that are not text, tags, and aliases that refer to themselves or multiply without end. Positions
are needed only when there is something to complain about, so their node tree is built then.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import yaml

from oauth_taskflow.specs.problem import Problem, YamlPath, path_text
from oauth_taskflow.specs.yaml_scalars import plain_scalar
from oauth_taskflow.specs.yaml_syntax import find_open_quote, one_line, syntax_message

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # pragma: no cover - PyYAML built without libyaml: same events, only slower
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]  # same interface

MAX_DEPTH = 50
MAX_NODES = 50_000
MAX_TEXT = 100_000
_SHOWN_DEPTH = 10
_MERGE = "<<"
# Wider integers cannot leave the process that reads the DAG file, and Airflow's databases have no room for a NUL.
_LEAST, _MOST = -(2**63), 2**64 - 1
_NUL = re.compile(r"\\(?:0|x00|u0000|U00000000)")
_TEXT_TAGS = frozenset({"!", "tag:yaml.org,2002:str"})


class _Stop(Exception):
    """Carries the one problem after which reading on makes no sense."""

    def __init__(self, mark: Any, message: str, rule: str, hint: str = "") -> None:
        super().__init__(message)
        self.mark = mark
        self.message = message
        self.rule = rule
        self.hint = hint


class Place(NamedTuple):
    """The place of a path: how many of its parts exist, and the 1-based line and column of the last existing part.

    ``value`` points at a scalar itself and at the key of a mapping or list, which begins on the next line; ``key``
    always points at the key.
    """

    depth: int
    value: tuple[int, int]
    key: tuple[int, int]


class Document:
    """The data of one YAML file, and the place of each part."""

    def __init__(self, text: str, data: Any, problems: list[Problem]) -> None:
        self.text = text
        self.data = data
        self.problems = problems
        self._root: Any = None
        self._keys: dict[int, dict[Any, tuple[Any, Any]]] = {}

    def find(self, path: YamlPath) -> Place:
        """Return the place of ``path``, or of its last part that exists."""
        if self._root is None:
            self._root = yaml.compose(self.text, _Loader)
        key = node = self._root
        depth = 0
        for part in path:
            entry = self._child(node, part)
            if entry is None:
                break
            key, node = entry
            depth += 1
        value = node if isinstance(node, yaml.ScalarNode) else key
        return Place(depth, _position(value), _position(key))

    def _child(self, node: Any, part: str | int) -> tuple[Any, Any] | None:
        """The key and value nodes of ``part`` in ``node``; a merge key (``<<``) is looked through."""
        if isinstance(node, yaml.SequenceNode):
            inside = isinstance(part, int) and part < len(node.value)
            return (node.value[part], node.value[part]) if inside else None
        if not isinstance(node, yaml.MappingNode):
            return None
        entries = self._entries(node)
        if part in entries:
            return entries[part]
        merged = entries[_MERGE][1] if _MERGE in entries else None
        sources = merged.value if isinstance(merged, yaml.SequenceNode) else [merged]
        return next((found for m in sources if (found := self._child(m, part)) is not None), None)

    def _entries(self, node: Any) -> dict[Any, tuple[Any, Any]]:
        # Kept: a thousand problems in one mapping would walk it a thousand times.
        entries = self._keys.get(id(node))
        if entries is None:
            entries = {
                key.value: (key, value)
                for key, value in reversed(node.value)
                if isinstance(key, yaml.ScalarNode)
            }
            self._keys[id(node)] = entries
        return entries


def _position(node: Any) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1


def load_text(text: str, path: str) -> Document:
    """Read ``text``; never raises for its contents. an unreadable text has the ``data`` None."""
    builder = _Builder(text.removeprefix("\ufeff"), path)
    data = builder.build()
    return Document(builder.text, data, builder.problems)


class _Builder:
    def __init__(self, text: str, path: str) -> None:
        self.text = text
        self.path = path
        self.problems: list[Problem] = []
        self.nodes = 0
        self.may_have_nul = _NUL.search(text) is not None
        self.where: list[str | int] = []
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.event: Callable[[], Any]

    def build(self) -> Any:
        try:
            return self._document()
        except _Stop as stop:
            self._report(stop.mark, stop.message, stop.rule, stop.hint)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            opened = find_open_quote(self.text, error.context_mark, mark)
            if opened is None:
                self._report(mark, *syntax_message(error, tab=self._is_tab(mark)))
            else:
                message = "a quote in this line is not closed"
                self._report(opened, message, "yaml-syntax", "Close it, or write it twice in text.")
        except yaml.YAMLError as error:
            self._report(None, f"unreadable character: {one_line(str(error))}", "yaml-syntax")
        except UnicodeEncodeError as error:
            self._report(None, f"unreadable character at index {error.start}", "yaml-syntax")
        return None

    def _is_tab(self, mark: Any) -> bool:
        line = "".join(self.text.splitlines()[mark.line : mark.line + 1]) if mark else ""
        return mark is not None and line[mark.column : mark.column + 1] == "\t"

    def _document(self) -> Any:
        loader: Any = _Loader(self.text)
        self.event = loader.get_event
        self.event()
        if isinstance(self.event(), yaml.StreamEndEvent):
            raise _Stop(None, "the file is empty", "yaml-syntax", "Begin with version: 1.")
        data = self._node(self.event())
        self.event()
        following = self.event()
        if not isinstance(following, yaml.StreamEndEvent):
            raise _Stop(
                following.start_mark,
                "a second document begins here",
                "yaml-syntax",
                "One file is one DAG: move it to its own file.",
            )
        return data

    def _node(self, event: Any) -> Any:
        if type(event) is yaml.ScalarEvent and self._is_simple(event):
            # Most nodes: no anchor, no tag, nothing to refuse. The code below finds the same in twice the time.
            text: str = event.value
            value: Any = plain_scalar(text) if event.implicit[0] else text
            if type(value) is not int or _LEAST <= value <= _MOST:
                self.nodes += 1
                return value
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        before = self._count(event)
        tag = event.tag
        if tag is not None and tag not in _TEXT_TAGS:
            self._report(
                event.start_mark,
                f"the tag {tag!r} is not supported",
                "yaml-tag",
                "Write plain values.",
            )
        if isinstance(event, yaml.ScalarEvent):
            if len(event.value) > MAX_TEXT:
                message = f"a text longer than {MAX_TEXT} characters"
                raise _Stop(event.start_mark, message, "yaml-too-big")
            plain = event.implicit[0] and tag is None
            value = plain_scalar(event.value) if plain else event.value
            self._check_bounds(event, value)
        else:
            value = self._collection(event)
        self._remember(event, value, self.nodes - before + 1)
        return value

    def _is_simple(self, event: Any) -> bool:
        """Whether the scalar of ``event`` needs no look beyond its value."""
        return (
            event.anchor is None
            and event.tag is None
            and not self.may_have_nul
            and self.nodes < MAX_NODES
            and len(event.value) <= MAX_TEXT
        )

    def _check_bounds(self, event: Any, value: Any) -> None:
        if isinstance(value, int) and not _LEAST <= value <= _MOST:
            hint = "Write it in quotes: as a number it fits into 64 bits nowhere."
            self._report(event.start_mark, "the number is too big", "out-of-range", hint)
        elif self.may_have_nul and "\0" in event.value:
            hint = "Remove it: neither databases nor URLs can hold it."
            self._report(event.start_mark, "the text has a NUL character", "bad-text", hint)

    def _remember(self, event: Any, value: Any, size: int) -> None:
        if event.anchor is None:
            return
        if event.anchor in self.anchors:
            raise _Stop(
                event.start_mark, f"the anchor &{event.anchor} is defined twice", "yaml-syntax"
            )
        self.anchors[event.anchor] = (value, size)

    def _collection(self, event: Any) -> Any:
        if len(self.where) >= MAX_DEPTH:
            raise _Stop(event.start_mark, f"nested deeper than {MAX_DEPTH} levels", "yaml-too-big")
        is_list = isinstance(event, yaml.SequenceStartEvent)
        return self._list() if is_list else self._mapping()

    def _alias(self, event: Any) -> Any:
        if event.anchor not in self.anchors:
            raise _Stop(
                event.start_mark,
                f"the alias *{event.anchor} refers to no anchor that is complete before it",
                "yaml-syntax",
            )
        value, size = self.anchors[event.anchor]
        self._count(event, size)
        return value

    def _count(self, event: Any, more: int = 1) -> int:
        self.nodes += more
        if self.nodes > MAX_NODES:
            message = f"more than {MAX_NODES} values, aliases counted as often as they are used"
            raise _Stop(event.start_mark, message, "yaml-too-big", "Split it into several files.")
        return self.nodes

    def _list(self) -> list[Any]:
        items: list[Any] = []
        self.where.append(0)
        while not isinstance(event := self.event(), yaml.SequenceEndEvent):
            self.where[-1] = len(items)
            items.append(self._node(event))
        self.where.pop()
        return items

    def _mapping(self) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        marks: dict[str, Any] = {}
        merged: list[dict[str, Any]] = []
        self.where.append("")
        while not isinstance(event := self.event(), yaml.MappingEndEvent):
            key = self._key(event)
            self.where[-1] = key
            value = self._node(self.event())
            if key == _MERGE and not event.style:
                merged += self._merge_sources(value, event.start_mark)
            elif key in marks:
                self._report(
                    event.start_mark,
                    f"duplicate key {key!r}, first used in line {marks[key].line + 1}",
                    "duplicate-key",
                    "Keep one of them.",
                )
            else:
                mapping[key] = value
                marks[key] = event.start_mark
        self.where.pop()
        for source in merged:
            for key, value in source.items():
                mapping.setdefault(key, value)
        return mapping

    def _key(self, event: Any) -> str:
        hint = "Put it in quotes."
        if not isinstance(event, yaml.ScalarEvent):
            hint = 'A template needs quotes around it: "{{ ... }}".'
            raise _Stop(
                event.start_mark, "a key must be text, not a mapping or list", "yaml-key", hint
            )
        key: str = event.value
        if self._is_simple(event):
            self.nodes += 1
        else:
            self._remember(event, key, 1)
            self._count(event)
            self._check_bounds(event, key)
        if event.implicit[0] and not isinstance(plain_scalar(key), str):
            self.where[-1] = key
            self._report(
                event.start_mark, f"the key {key or '(empty)'} is not text", "yaml-key", hint
            )
        return key

    def _merge_sources(self, value: Any, mark: Any) -> list[dict[str, Any]]:
        sources = value if isinstance(value, list) else [value]
        good = [source for source in sources if isinstance(source, dict)]
        if len(good) != len(sources):
            self._report(mark, "a merge key (<<) needs a mapping or a list of mappings", "yaml-key")
        return good

    def _report(self, mark: Any, message: str, rule: str, hint: str = "") -> None:
        line, col = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        where = path_text(tuple(part for part in self.where if part != "")[:_SHOWN_DEPTH])
        self.problems.append(Problem(self.path, line, col, "error", where, message, rule, hint))
