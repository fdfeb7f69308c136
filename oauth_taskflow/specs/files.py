"""Which files are specs: those below a folder, in a stable order."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
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


@dataclass
class Folder:
    """A folder as it was listed, without hidden names.

    ``names`` are its spec files; ``unusual`` those of them that are links or no plain files. ``folders`` and ``links`` are
    the paths of the folders in it, and of links to folders. ``changed`` is when a file in it was last made, removed or
    renamed (nanoseconds), as it was before the listing. ``error`` is why it could not be listed.
    """

    path: str
    names: list[str] = field(default_factory=list)
    unusual: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    changed: int = 0
    error: OSError | None = None


def list_folders(root: str) -> list[Folder]:
    """Lists ``root`` and each folder below it, links to folders followed; no folder is listed twice."""
    return list(_walk(root, [os.path.realpath(root)]))


def files_by_precedence(folders: Iterable[Folder], dag_id: str) -> Iterator[str]:
    """Yields the spec files of ``folders`` by ``precedence`` for ``dag_id``.

    Names are sorted folder by folder, as texts: a key for each file would take longer than reading the file.
    """
    names_in: dict[str, list[str]] = {}
    for folder in folders:
        names_in.setdefault(folder.path, []).extend(folder.names)
        if folder.error is not None:
            above, _, name = folder.path.rpartition(os.sep)
            names_in.setdefault(above, []).append(name)
    groups: dict[tuple[int, int], list[tuple[list[str], str, list[str]]]] = {}
    alike: list[str] = []
    for top, names in names_in.items():
        parts, left = top.split(os.sep), names  # noqa: PTH206 - texts
        for ending, suffix in enumerate((*SUFFIXES, "")):
            chosen = [name for name in left if name.endswith(suffix)]
            left = [n for n in left if not n.endswith(suffix)] if len(chosen) < len(left) else []
            chosen.sort()
            alike += [f"{top}{os.sep}{name}" for name in _names_of(chosen, dag_id)]
            groups.setdefault((len(parts), ending), []).append((parts, top, chosen))
    yield from sorted(alike, key=lambda path: precedence(Path(path), dag_id))
    for key in sorted(groups):
        for _, top, names in sorted(groups[key]):
            yield from (p for name in names if (p := f"{top}{os.sep}{name}") not in alike)


def _names_of(names: list[str], dag_id: str) -> Iterator[str]:
    """Those of the sorted ``names`` whose stem is ``dag_id``."""
    for name in islice(names, bisect_left(names, dag_id), None):
        if not name.startswith(dag_id):
            break
        if Path(name).stem == dag_id:
            yield name


def _files(path: Path) -> Iterator[str]:
    if not os.path.isdir(path):  # noqa: PTH112  # unlike Path.is_dir, never raises
        yield str(path)
        return
    yield from sort_files(list_folders(str(path)))


def sort_files(folders: Iterable[Folder]) -> list[str]:
    """Returns the spec files of ``folders`` in their stable order. A folder that cannot be listed is in it: reading it gives the problem."""
    found: list[str] = []
    for each in folders:
        found += [f"{each.path}{os.sep}{name}" for name in each.names]
        found += [each.path] if each.error is not None else []
    return sorted(found, key=lambda name: name.split(os.sep))  # noqa: PTH206 - texts


def _walk(top: str, seen: list[str]) -> Iterator[Folder]:
    waiting, links = [top], []
    while waiting:
        folder = Folder(waiting.pop())
        try:
            _list(folder)
        except OSError as error:
            folder = Folder(folder.path, error=error)
        yield folder
        links += folder.links
        waiting += folder.folders
    for link in sorted(links):
        target = os.path.realpath(link)
        if not any(_overlap(target, other) for other in seen):
            seen.append(target)
            yield from _walk(link, seen)


def _list(folder: Folder) -> None:
    """Fills ``folder``. ``os.walk`` asks for each name twice and does not say which are plain files."""
    folder.changed = os.stat(folder.path).st_mtime_ns  # noqa: PTH116 - texts
    names = folder.names
    with os.scandir(folder.path) as entries:
        for entry in entries:
            name = entry.name
            if name[0] == ".":
                continue
            # This question and is_symlink need no system call.
            is_plain = entry.is_file(follow_symlinks=False)
            if not is_plain and _is_folder(entry):
                (folder.links if entry.is_symlink() else folder.folders).append(entry.path)
            elif name.endswith(SUFFIXES) or name.lower().endswith(SUFFIXES):
                names.append(name)
                folder.unusual += [] if is_plain else [name]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _overlap(one: str, other: str) -> bool:
    """Whether one folder is the other, or inside it: a link to a folder around it would never end."""
    return f"{one}{os.sep}".startswith(f"{other}{os.sep}") or other.startswith(f"{one}{os.sep}")
