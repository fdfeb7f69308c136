"""Which files are specs: those below a folder, in a stable order."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

SUFFIXES = (".yaml", ".yml")
"""Endings of spec files, in whatever case; first the one that wins when two files differ in nothing else."""


def spec_files(paths: Iterable[str | Path]) -> list[str]:
    """Return the files that ``paths`` name or contain, each once, in a stable order, as texts.

    Path objects are made and compared so slowly that each parse of a large folder would feel it.
    """
    return list(dict.fromkeys(file for path in paths for file in _files(Path(path))))


def precedence(path: Path, dag_id: str) -> tuple[bool, int, int, tuple[str, ...]]:
    """Sorts files with one ``dag_id``: first the one named like it, then the one nearest to the top."""
    named = path.stem == dag_id
    ending = SUFFIXES.index(path.suffix) if path.suffix in SUFFIXES else len(SUFFIXES)
    return not named, len(path.parts), ending, path.parts


def files_by_precedence(folder: str, dag_id: str) -> Iterator[str]:
    """Yields the spec files below ``folder`` by ``precedence`` for ``dag_id``.

    Names are sorted folder by folder, as texts: a key for each file would take longer than reading the file.
    """
    names_in: dict[str, list[str]] = {}
    for top, names, error in _walk(folder, [os.path.realpath(folder)]):
        names_in.setdefault(top, []).extend(names)
        if error is not None:
            above, _, name = error.filename.rpartition(os.sep)
            names_in.setdefault(above, []).append(name)
    alike = [
        f"{top}{os.sep}{name}"
        for top, names in names_in.items()
        for name in names
        if name.startswith(dag_id) and Path(name).stem == dag_id
    ]
    yield from sorted(alike, key=lambda path: precedence(Path(path), dag_id))
    groups: dict[tuple[int, int], list[tuple[list[str], str, list[str]]]] = {}
    for top, names in names_in.items():
        parts, left = top.split(os.sep), names  # noqa: PTH206 - texts
        for ending, suffix in enumerate((*SUFFIXES, "")):
            chosen = [name for name in left if name.endswith(suffix)]
            groups.setdefault((len(parts), ending), []).append((parts, top, sorted(chosen)))
            left = [name for name in left if not name.endswith(suffix)]
    for key in sorted(groups):
        for _, top, names in sorted(groups[key]):
            yield from (p for name in names if (p := f"{top}{os.sep}{name}") not in alike)


def _files(path: Path) -> Iterator[str]:
    if not os.path.isdir(path):  # noqa: PTH112  # unlike Path.is_dir, never raises
        yield str(path)
        return
    yield from sorted(list_below(str(path)), key=lambda name: name.split(os.sep))  # noqa: PTH206 - texts


def list_below(folder: str) -> list[str]:
    """Returns the spec files below ``folder``, in no order. A folder that cannot be listed is in it: reading it gives the problem."""
    found: list[str] = []
    for top, names, error in _walk(folder, [os.path.realpath(folder)]):
        found += [f"{top}{os.sep}{name}" for name in names]
        found += [error.filename] if error is not None else []
    return found


def _walk(top: str, seen: list[str]) -> Iterator[tuple[str, list[str], OSError | None]]:
    """Each folder below ``top`` with its spec files, links to folders followed; no folder is entered twice."""
    unlisted: list[OSError] = []
    links: list[str] = []
    for folder, below, names in os.walk(top, onerror=unlisted.append):
        below[:] = sorted(name for name in below if not name.startswith("."))
        links += [path for name in below if os.path.islink(path := f"{folder}{os.sep}{name}")]  # noqa: PTH114 - texts
        specs = [n for n in names if n.lower().endswith(SUFFIXES) and not n.startswith(".")]
        yield folder, specs, None
    yield from ((top, [], error) for error in unlisted)
    for link in sorted(links):
        target = os.path.realpath(link)
        if not any(_overlap(target, other) for other in seen):
            seen.append(target)
            yield from _walk(link, seen)


def _overlap(one: str, other: str) -> bool:
    """Whether one folder is the other, or inside it: a link to a folder around it would never end."""
    return f"{one}{os.sep}".startswith(f"{other}{os.sep}") or other.startswith(f"{one}{os.sep}")
