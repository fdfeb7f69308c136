"""Finds the spec of a folder that has a given ``dag_id`` without reading all of them, because each task start pays for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from oauth_taskflow.specs.cache import SpecCache
from oauth_taskflow.specs.check import check_file
from oauth_taskflow.specs.files import SUFFIXES, files_by_precedence, precedence
from oauth_taskflow.specs.model import Spec
from oauth_taskflow.specs.problem import Problem
from oauth_taskflow.specs.spec_file import Unreadable, read_spec

# How nearly every spec names its DAG: at the start of a line, as one word.
_LITERAL = re.compile(
    rb"^dag_id[ \t]*:[ \t]*(?:&\S+[ \t]+)?([\"']?)([\w.-]+)\1[ \t]*(?:#.*)?\r?$", re.MULTILINE
)


def find_spec(
    root: Path, dag_id: str, cache: SpecCache | None = None
) -> tuple[list[Spec], list[Problem]]:
    """Find the spec of ``dag_id`` below ``root``, or else the errors of the files that may have been meant.

    When several files have one ``dag_id``, it takes the one that loading all of them keeps: ``duplicate-dag-id`` decides
    by the same order. A ``cache`` names the files that held it when all of them were loaded last, which spares reading
    the others.
    """
    problems: list[Problem] = []
    for path in _candidates(root, dag_id, cache):
        result = check_file(path)
        if result.spec is None:
            problems += [problem for problem in result.problems if problem.is_error]
        elif result.spec.source.dag_id == dag_id:
            return [result.spec], []
    return [], problems


def _candidates(root: Path, dag_id: str, cache: SpecCache | None) -> Iterator[Path]:
    """The files that may hold ``dag_id``, by precedence: with one named like it, the folder need not even be listed.

    Files are read one by one, so that none is read after the one that is taken.
    """
    wanted = dag_id.encode()
    named = [root / f"{dag_id}{suffix}" for suffix in SUFFIXES]
    alike = [path for path in named if path.is_file() and _may_hold(str(path), wanted)]
    yield from alike
    if cache is not None:
        held = [Path(path) for path in cache.find_paths(dag_id)]
        yield from sorted(
            (path for path in held if path.is_file()), key=lambda path: precedence(path, dag_id)
        )
    for path in files_by_precedence(str(root), dag_id):
        if _may_hold(path, wanted) and Path(path) not in alike:
            yield Path(path)


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
