"""Keeps checked specs on disk, so that a folder that has not changed is read without being parsed and checked again.

Airflow's DAG processor parses a DAG file in a new process each time, so what one parse knows must be on disk for the next.
For each folder of specs there is one file in a cache folder, which has the specs, each under a hash of its file's contents.

Only specs without a problem are kept. An entry counts while the contents of its file, this package, its libraries and the
day (UTC) are the same: some rules look at the calendar. The file (``own_files``) holds MessagePack that is checked against
the types of the spec format, never code. When several processes write it the last one wins, and an entry that is missing
is made again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timezone
from functools import lru_cache
from importlib import metadata
from pathlib import Path

import msgspec

from oauth_taskflow.specs.model import DagSpec, Spec
from oauth_taskflow.specs.own_files import name_for, read_own, write_own

_log = logging.getLogger(__name__)
# Libraries that decide whether a template, a path or a schedule is right.
_LIBRARIES = ("msgspec", "PyYAML", "Jinja2", "jmespath", "croniter")
# Errors that msgspec raises for bytes that are not MessagePack, not UTF-8 or of another shape.
_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
_DIGEST_BYTES = 16


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    digest: bytes
    # A part of the file as it was read: ten thousand copies would cost more than decoding them.
    spec: memoryview
    texts: dict[str, str]


class _Specs(msgspec.Struct, frozen=True, array_like=True):
    made_by: str
    are_compared: bool
    entries: dict[str, _Entry]


_decode_spec = msgspec.msgpack.Decoder(DagSpec).decode
_encode = msgspec.msgpack.Encoder().encode


class SpecCache:
    """The checked specs of the folder ``root``, kept below ``folder``. Files are named by their paths below ``root``.

    ``describe`` makes texts that depend on nothing but the spec; they are kept with it.

    Nothing that is wrong with the cache reaches the caller: what cannot be read is missing, what cannot be written is
    logged.
    """

    def __init__(
        self,
        folder: Path,
        root: Path,
        describe: Callable[[Spec], dict[str, str]] = lambda _: {},
    ) -> None:
        self._folder = folder
        self._describe = describe
        self._root = f"{root}{os.sep}"
        self._file = folder / name_for(root, ".specs")
        self._known: dict[str, _Entry] = {}
        self._kept: dict[str, _Entry] = {}
        self._known_compared = False
        self._kept_compared = False

    def load(self) -> None:
        """Reads what earlier processes kept."""
        content = read_own(self._file)
        with suppress(*_UNREADABLE):
            specs = msgspec.msgpack.decode(content, type=_Specs)
            if specs.made_by == _fingerprint():
                self._known, self._known_compared = specs.entries, specs.are_compared

    def find(self, path: str, content: bytes) -> DagSpec | None:
        """Returns the checked spec of the file ``path`` if its ``content`` is what was checked, with defaults merged."""
        key = path.removeprefix(self._root)
        entry = self._known.get(key)
        if entry is None or entry.digest != _digest(content):
            return None
        try:
            source = _decode_spec(entry.spec)
        except _UNREADABLE:
            return None
        self._kept[key] = entry
        return source

    def find_texts(self, path: str) -> Mapping[str, str]:
        """Returns the texts of ``describe`` for the spec that ``find`` returned, or ``keep`` kept, for the file ``path``."""
        entry = self._kept.get(path.removeprefix(self._root))
        return {} if entry is None else entry.texts

    def keep(self, path: str, content: bytes, spec: Spec) -> None:
        """Keeps the checked ``spec`` of the file ``path`` for ``save``, if it can be read back exactly."""
        source = spec.source
        try:
            encoded = _encode(source)
            is_same = _decode_spec(encoded) == source
        except (*_UNREADABLE, OverflowError):
            return
        if is_same:
            entry = _Entry(_digest(content), memoryview(encoded), self._describe(spec))
            self._kept[path.removeprefix(self._root)] = entry

    def are_compared(self, count: int) -> bool:
        """Returns whether the ``count`` files that were found are those that had no problem with each other before."""
        return self._known_compared and len(self._kept) == count and self._kept == self._known

    def note_compared(self, count: int) -> None:
        """Notes for ``save`` that ``count`` files have no problem with each other, if all of them are kept."""
        self._kept_compared = len(self._kept) == count

    def save(self) -> None:
        """Writes what was found or kept since ``load``, if that differs from what is there."""
        is_compared = self._known_compared or not self._kept_compared
        if self._kept == self._known and is_compared:
            return
        try:
            write_own(self._file, _encode(_Specs(_fingerprint(), self._kept_compared, self._kept)))
        except (OSError, *_UNREADABLE) as error:
            _log.warning("Checked specs are not kept in %s: %s", self._folder, error)


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()


@lru_cache(maxsize=2)
def _fingerprint_of(day: str) -> str:
    """A text that differs wherever the same file might be judged differently."""
    package = Path(__file__).parent.parent
    files = sorted(package.glob("**/*.py")) + sorted(package.glob("**/*.json"))
    stats = [(str(file.relative_to(package)), *_stamp(file)) for file in files]
    versions = [(name, _version(name)) for name in _LIBRARIES]
    text = repr((day, sys.version, str(package), versions, stats))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _fingerprint() -> str:
    return _fingerprint_of(datetime.now(timezone.utc).date().isoformat())


def _stamp(file: Path) -> tuple[int, int]:
    try:
        status = file.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""
