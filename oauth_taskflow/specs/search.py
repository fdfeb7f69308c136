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
        folders, skimmed = list_folders(str(root)), dict[str, bytes]()
        spec = search.check(_listed_paths(folders, dag_id, search.tried, skimmed))
        if spec is not None and index is not None:
            index.learn({**_find_others(folders, dag_id, skimmed), dag_id: spec.path}, folders)
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
    folders: list[Folder], dag_id: str, tried: set[str], skimmed: dict[str, bytes]
) -> Iterator[str]:
    """The files of ``folders`` that may hold ``dag_id`` and were not ``tried``, by precedence; few are read whole.

    ``skimmed`` gets the text of each file as it comes, empty where it is not known.
    """
    wanted = dag_id.encode()
    unusual = {f"{each.path}{os.sep}{name}" for each in folders for name in each.unusual}
    for path in files_by_precedence(folders, dag_id):
        skimmed[path] = b""
        if path in tried:
            continue
        try:
            skimmed[path] = text = b"\\" if path in unusual else skim_spec(path)
        except OSError:
            continue
        if (wanted in text or b"\\" in text or len(text) == SKIMMED_BYTES) and _may_hold(
            path, wanted
        ):
            yield path
    # Only if none of them was right: what a file system did not hand over at once.
    for path in files_by_precedence(folders, dag_id):
        if path not in tried and _may_hold(path, wanted):
            yield path


def _find_others(folders: list[Folder], dag_id: str, skimmed: dict[str, bytes]) -> dict[str, str]:
    """The DAGs of the ``skimmed`` files with their paths, from the first file on as long as each has a certain one.

    Then no file that goes first for a DAG was left out: the order differs from that for ``dag_id`` only by files that are
    named like a DAG.
    """
    stems = {name[: name.rindex(".")] for each in folders for name in each.names}
    found: dict[str, str] = {}
    if dag_id in stems:
        return found
    for path, text in skimmed.items():
        literal = _LITERAL.search(text)
        if literal is None or b"\\" in text or len(text) == SKIMMED_BYTES:
            break
        if text.find(b"\ndag_id", literal.end()) >= 0:
            break
        found.setdefault(literal[2].decode(), path)
    return {name: path for name, path in found.items() if name not in stems}


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
