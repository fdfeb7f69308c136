"""Finds the spec of a folder that has a given ``dag_id`` without reading all of them, because each task start pays for it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from oauth_taskflow.specs.check import check_file
from oauth_taskflow.specs.dag_index import DagIndex
from oauth_taskflow.specs.files import (
    SUFFIXES,
    Folder,
    files_by_precedence,
    list_folders,
    precedence,
)
from oauth_taskflow.specs.model import Spec
from oauth_taskflow.specs.problem import Problem
from oauth_taskflow.specs.spec_file import SKIMMED_BYTES, Unreadable, read_spec, skim_spec

# How nearly every spec names its DAG: at the start of a line, as one word.
_LITERAL = re.compile(
    rb"^dag_id[ \t]*:[ \t]*(?:&\S+[ \t]+)?([\"']?)([\w.-]+)\1[ \t]*(?:#.*)?\r?$", re.MULTILINE
)


def find_spec(
    root: Path, dag_id: str, index: DagIndex | None = None
) -> tuple[list[Spec], list[Problem]]:
    """Find the spec of ``dag_id`` below ``root``, or else the errors of the files that may have been meant.

    When several files have one ``dag_id``, it takes the one that loading all of them keeps: ``duplicate-dag-id`` decides
    by the same order. An ``index`` names the file where it was found before, which spares listing and reading the others;
    where it does not, it is taught, also the DAGs of the files that were read on the way.
    """
    search = _Search(dag_id)
    spec = search.check(_known_paths(root, dag_id, index))
    if spec is None:
        folders = list_folders(str(root))
        others = _OtherDags(folders, dag_id, is_wanted=index is not None and index.keeps(folders))
        spec = search.check(_listed_paths(folders, dag_id, search.tried, others))
        if spec is not None and index is not None:
            index.learn({**others.found, dag_id: spec.path}, folders)
    return ([], search.problems) if spec is None else ([spec], [])


class _Search:
    """The files that were ``tried`` for one DAG, and the errors of those that cannot be read."""

    def __init__(self, dag_id: str) -> None:
        self._dag_id = dag_id
        self.tried: set[str] = set()
        self.problems: list[Problem] = []

    def check(self, paths: Iterable[str]) -> Spec | None:
        """Checks one file after the other, so that none is read after the one that is taken."""
        for path in paths:
            self.tried.add(path)
            result = check_file(path)
            if result.spec is None:
                self.problems += [problem for problem in result.problems if problem.is_error]
            elif result.spec.source.dag_id == self._dag_id:
                return result.spec
        return None


class _OtherDags:
    """The DAGs of the files that a search reads on its way to ``dag_id``, as long as each file has a certain one.

    Then no file that goes first for a DAG was left out: the order differs from that for ``dag_id`` only by files that are
    named like a DAG.
    """

    def __init__(self, folders: list[Folder], dag_id: str, *, is_wanted: bool) -> None:
        names = (name for each in folders for name in each.names) if is_wanted else ()
        self._stems = {name[: name.rindex(".")] for name in names}
        self._found: dict[str, str] = {}
        self._goes_on = is_wanted and dag_id not in self._stems

    def note(self, path: str, text: bytes) -> None:
        """Takes the DAG of the next file, whose first bytes are ``text``; empty where they are not known."""
        if not self._goes_on:
            return
        name = _certain_dag(text)
        self._goes_on = bool(name)
        if name:
            self._found.setdefault(name, path)

    @property
    def found(self) -> dict[str, str]:
        """The path of the file that goes first for each DAG."""
        return {name: path for name, path in self._found.items() if name not in self._stems}


def _known_paths(root: Path, dag_id: str, index: DagIndex | None) -> Iterator[str]:
    """The files that may be right without a look at the folder: one named like the DAG, and one that the index names."""
    wanted = dag_id.encode()
    named = [root / f"{dag_id}{suffix}" for suffix in SUFFIXES]
    alike = [str(path) for path in named if path.is_file() and _may_hold(str(path), wanted)]
    yield from alike
    held = [Path(path) for path in (index.find_paths(dag_id) if index is not None else [])]
    for path in sorted(held, key=lambda path: precedence(path, dag_id)):
        if str(path) not in alike and _may_hold(str(path), wanted):
            yield str(path)


def _listed_paths(
    folders: list[Folder], dag_id: str, tried: set[str], others: _OtherDags
) -> Iterator[str]:
    """The files of ``folders`` that may hold ``dag_id`` and were not ``tried``, by precedence; few are read whole.

    ``others`` gets the text of each file as it comes, empty where it is not known.
    """
    wanted = dag_id.encode()
    unusual = {f"{each.path}{os.sep}{name}" for each in folders for name in each.unusual}
    for path in files_by_precedence(folders, dag_id):
        text = b"" if path in tried else b"\\" if path in unusual else _skim(path)
        others.note(path, text)
        is_likely = wanted in text or b"\\" in text or len(text) == SKIMMED_BYTES
        if text and is_likely and _may_hold(path, wanted):
            yield path
    # Only if none of them was right: what a file system did not hand over at once.
    for path in files_by_precedence(folders, dag_id):
        if path not in tried and _may_hold(path, wanted):
            yield path


def _certain_dag(text: bytes) -> str:
    """The ``dag_id`` of a file that begins with ``text``, if nothing else in it can be one; else empty."""
    literal = _LITERAL.search(text)
    if literal is None or b"\\" in text or len(text) == SKIMMED_BYTES:
        return ""
    return "" if text.find(b"\ndag_id", literal.end()) >= 0 else literal[2].decode()


def _skim(path: str) -> bytes:
    """The first bytes of a file; none of one that cannot be read."""
    try:
        return skim_spec(path)
    except OSError:
        return b""


def _may_hold(path: str, wanted: bytes) -> bool:
    """Whether the spec in ``path`` may have the id ``wanted``; certain where the id is a single word on its own line.

    An alias, a folded text, a tag, JSON or an indented document needs reading; only an escape can hide the id itself.
    """
    try:
        text = read_spec(path)
    except Unreadable:
        return False
    has_name = wanted in text
    if not has_name and b"\\" not in text:
        return False
    literal = _LITERAL.findall(text)
    return bool(literal[0][1] == wanted) if len(literal) == 1 else True
