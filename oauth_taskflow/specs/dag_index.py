"""Keeps on disk which file of a folder of specs has which DAG, because each task starts in a new process and needs one.

An entry is a hint: the reader checks the file that it names. The index counts while no folder has got, lost or renamed a
file; so a new file is found, and with it another one for the same DAG that goes first. Changed contents are always read.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from oauth_taskflow.specs.files import Folder
from oauth_taskflow.specs.own_files import name_for, read_own, write_own

_log = logging.getLogger(__name__)
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
FEW_FILES = 100
"""Folders with fewer specs are read as fast as an index."""
# Each release that git-sync checks out is another folder.
_MOST_INDEXES = 20


class _Index(msgspec.Struct, frozen=True, array_like=True):
    folders: dict[str, int]
    files: dict[str, list[str]]


_encode = msgspec.msgpack.Encoder().encode


class DagIndex:
    """The index of the spec folder ``root``, kept in the folder ``kept_in``. Files are named by their paths below ``root``.

    An index that cannot be read is empty; if it cannot be written, that is logged at DEBUG: the search works without it.
    """

    def __init__(self, kept_in: Path, root: Path) -> None:
        self._file = kept_in / name_for(root, ".index")
        self._root = str(root)

    def find_paths(self, dag_id: str) -> list[str]:
        """Returns the files that held ``dag_id`` when they were last looked for; the caller checks each."""
        index = self._load()
        found = index.files.get(dag_id, [])
        if not found or not all(map(self._is_unchanged, index.folders.items())):
            return []
        return [f"{self._root}{os.sep}{path}" for path in found if ".." not in Path(path).parts]

    def keeps(self, folders: Sequence[Folder]) -> bool:
        """Whether it keeps anything about ``folders``, which is so from ``FEW_FILES`` specs on."""
        return sum(len(each.names) for each in folders) >= FEW_FILES

    def learn(self, paths: Mapping[str, str], folders: Sequence[Folder]) -> None:
        """Adds ``paths``, the file that goes first for each ``dag_id``, which were found in ``folders``."""
        if not self.keeps(folders):
            return
        times, index = self._times(folders), self._load()
        known = index.files if index.folders == times else {}
        found = {dag_id: [self._name(path)] for dag_id, path in paths.items()}
        self._save(_Index(times, {**known, **found}))

    def save(self, files: Iterable[tuple[str, str]], folders: Sequence[Folder]) -> None:
        """Keeps ``files``, each a ``dag_id`` and a path that has it. ``folders`` were listed before they were read."""
        if not self.keeps(folders):
            return
        paths: dict[str, list[str]] = {}
        for dag_id, path in files:
            paths.setdefault(dag_id, []).append(self._name(path))
        index = _Index(self._times(folders), paths)
        if index != self._load():
            self._save(index)

    def _load(self) -> _Index:
        with suppress(*_UNREADABLE):
            return msgspec.msgpack.decode(read_own(self._file), type=_Index)
        return _Index({}, {})

    def _save(self, index: _Index) -> None:
        try:
            is_new = not self._file.exists()
            write_own(self._file, _encode(index))
            if is_new:
                self._remove_old()
        except (OSError, *_UNREADABLE) as error:
            _log.debug("The index of specs is not kept in %s: %s", self._file.parent, error)

    def _remove_old(self) -> None:
        kept = sorted(self._file.parent.glob("*.index"), key=lambda path: path.stat().st_mtime)
        for path in kept[:-_MOST_INDEXES]:
            path.unlink(missing_ok=True)

    def _times(self, folders: Sequence[Folder]) -> dict[str, int]:
        return {self._name(each.path): each.changed for each in folders}

    def _is_unchanged(self, folder: tuple[str, int]) -> bool:
        name, changed = folder
        try:
            return os.stat(f"{self._root}{os.sep}{name}").st_mtime_ns == changed  # noqa: PTH116 - texts
        except OSError:
            return False

    def _name(self, path: str) -> str:
        return path.removeprefix(self._root).removeprefix(os.sep)
