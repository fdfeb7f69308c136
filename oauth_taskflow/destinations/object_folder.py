"""A folder of output in an object store, through fsspec: no renames, and one conditional write that commits.

Parts are written under final names that hold the id of their attempt, so no attempt touches the part of another.
The manifest is written last, on condition that it has not changed since the attempt began. Readers follow the
manifest: they see the previous output until that write, and the new one afterwards.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from itertools import accumulate
from typing import IO, Any

from oauth_taskflow.destinations.output_folders import (
    MANIFEST,
    PART,
    PROGRESS,
    TEMPORARY,
    OpenPart,
    begins_output,
    find_attempt,
    is_ours,
    is_partition,
    name_part,
    read_reason,
    superseded_error,
)
from oauth_taskflow.errors import DestinationError

# fsspec's names of the stores whose conditional overwrite is known.
_S3 = frozenset({"s3", "s3a"})
_SMALL_BLOCK = 8 << 20  # bytes; S3 takes 10,000 blocks a file
_AZURE = frozenset({"abfs", "abfss", "az"})


class ObjectFolder:
    """A folder in an object store; ``path`` is a ``UPath`` or Airflow's ``ObjectStoragePath``. See ``OutputFolder``."""

    def __init__(self, path: Any) -> None:
        self._path = path
        self._fs = path.fs
        protocol = self._fs.protocol
        self._protocols = {protocol} if isinstance(protocol, str) else set(protocol)

    def __str__(self) -> str:
        return str(self._path)

    def begin(self, suffix: str, attempt: str) -> ObjectAttempt:
        """Writes an empty hidden object, so that a missing bucket or permission shows now and not after the pull."""
        return ObjectAttempt(self, suffix, attempt)

    def remove_output(self) -> bool:
        """Removes our objects."""
        found = [name for name in self.files() if is_ours(name)]
        for name in sorted(found, key=lambda name: name != MANIFEST):
            self.remove(name)
        return bool(found)

    def has_output(self) -> bool:
        """Returns whether the folder has a manifest."""
        return self.read(MANIFEST) is not None

    def subfolders(self) -> list[str]:
        """Returns the names of the folders in this one."""
        return [name for name, is_folder in self.entries() if is_folder]

    def entries(self) -> list[tuple[str, bool]]:
        """Returns the names in this folder, each with whether it is a folder; empty for a folder that does not exist."""
        self._fs.invalidate_cache()  # other processes write here
        root = self._key("").strip("/")
        try:
            found = self._fs.ls(root, detail=True)
        except FileNotFoundError:  # a store has no empty folders
            return []
        entries = ((str(entry["name"]).strip("/"), entry["type"]) for entry in found)
        # The marker of an empty folder is listed as an entry of the folder's own name.
        return [
            (key.rpartition("/")[2], kind == "directory")
            for key, kind in entries
            if key.rpartition("/")[0] == root
        ]

    def files(self) -> list[str]:
        """Returns the names of the objects in this folder and, after their folders, in those of its partitions."""
        entries = self.entries()
        if not any(is_folder and is_partition(name) for name, is_folder in entries):
            return [name for name, is_folder in entries if not is_folder]
        root = self._key("").strip("/")
        below = (str(key).strip("/").removeprefix(f"{root}/") for key in self._fs.find(root))
        found = [(name, _list_folders(name)) for name in below]
        # A marker of an attempt shows another output before its first manifest; parts have no temporary names here.
        others = {
            folders[-1]
            for name, folders in found
            if folders and (begins_output(name.rpartition("/")[2]) or find_attempt(name))
        }
        return [
            name
            for name, folders in found
            if all(map(is_partition, name.split("/")[:-1])) and others.isdisjoint(folders)
        ]

    def read(self, name: str) -> bytes | None:
        """Returns the content of an object; None when it is missing."""
        self._fs.invalidate_cache()  # s3fs reports objects as missing that are not in a cached listing
        try:
            content: bytes = self._fs.cat_file(self._key(name))
        except FileNotFoundError:
            return None
        return content

    def size(self, name: str) -> int | None:
        """Returns the size of an object; None when it is missing."""
        self._fs.invalidate_cache()
        try:
            return int(self._fs.info(self._key(name))["size"])
        except FileNotFoundError:
            return None

    def open_file(self, name: str) -> IO[bytes]:
        """Opens an object for reading."""
        self._fs.invalidate_cache()
        handle: IO[bytes] = self._fs.open(self._key(name), "rb")
        return handle

    def write(self, name: str, data: bytes) -> None:
        """Writes a whole object, over another one."""
        self._fs.pipe_file(self._key(name), data)

    def version(self, name: str) -> str | None:
        """Returns the ETag of an object, for ``replace``; None when the object is missing, empty where a store has none."""
        self._fs.invalidate_cache()
        try:
            info = self._fs.info(self._key(name))
        except FileNotFoundError:
            return None
        return str(info.get("ETag") or info.get("etag") or "")

    def create(self, name: str, data: bytes) -> None:
        """Writes a new object.

        Raises:
            FileExistsError: the object exists.
        """
        self._fs.pipe_file(self._key(name), data, mode="create")

    def replace(self, name: str, data: bytes, version: str | None) -> None:
        """Writes an object on condition that its ETag is ``version``; a version of None means that it must be missing.

        S3 and Azure check the condition themselves. With other stores, a change since the last look goes unnoticed.
        """
        if version is None:
            self.create(name, data)
        elif version and self._protocols & _S3:
            self._fs.pipe_file(self._key(name), data, IfMatch=version)
        elif version and self._protocols & _AZURE:
            self._fs.pipe_file(self._key(name), data, overwrite=True, headers={"If-Match": version})
        else:
            self._fs.pipe_file(self._key(name), data)

    def remove(self, name: str) -> None:
        """Removes an object, if it exists."""
        with suppress(FileNotFoundError):
            self._fs.rm_file(self._key(name))

    def open(self, name: str) -> IO[bytes]:
        """Opens a file that writes an object; the object exists once the file is closed."""
        # Many files of partitions are open at once, and each keeps a block in memory, of 50 MB by default.
        options = {"block_size": _SMALL_BLOCK} if "/" in name else {}
        handle: IO[bytes] = (self._path / name).open("wb", **options)
        return handle

    def _key(self, name: str) -> str:
        root = str(self._path.path).rstrip("/")
        return f"{root}/{name}" if name else root


class ObjectAttempt:
    """An attempt in an object store."""

    def __init__(self, folder: ObjectFolder, suffix: str, attempt: str) -> None:
        self._folder = folder
        self._attempt = attempt
        self._suffix = suffix
        self._marker = f".part-00000.{suffix}.{attempt}{TEMPORARY}"
        self.found = folder.read(MANIFEST)
        # Not on condition that it is new: the library repeats a request whose answer was lost.
        folder.write(self._marker, b"")
        self._mine: dict[str, IO[bytes]] = {}
        self._progress = b""  # what this attempt kept last
        self._may_count = False

    @property
    def can_pause(self) -> bool:
        """Never: an object appears once its file is closed."""
        return False

    def open_part(self, number: int, partition: str = "", stem: str = PART) -> OpenPart:
        """Begins an object under its final name."""
        name = name_part(number, self._suffix, stem, f"-{self._attempt}")
        name = f"{partition}/{name}" if partition else name
        self._mine[name] = self._folder.open(name)
        return OpenPart(name, self._mine[name])

    def drop_part(self, part: OpenPart) -> None:
        """Drops the part without writing its object."""
        _abandon(self._mine.pop(part.name))

    def kept_name(self, name: str) -> str:
        """Returns ``name``: a part has its own name from the start."""
        return name

    def adopt_part(self, number: int, kept_name: str, stem: str = PART) -> str:  # noqa: ARG002 - names stay
        """Leaves the object as it is."""
        return kept_name

    def keep(self, progress: bytes, replaced: Sequence[str]) -> None:  # noqa: ARG002 - parts are never copied
        """Writes the progress object; an object is replaced as a whole."""
        self._folder.write(PROGRESS, progress)
        self._progress = progress

    def suspend(self) -> None:
        """Drops the part that is open, parts that were not kept, and the marker."""
        self._remove_mine()

    def _remove_mine(self) -> None:
        for name, handle in self._mine.items():
            with suppress(Exception):
                _abandon(handle)
            if name.encode() not in self._progress:
                with suppress(Exception):
                    self._folder.remove(name)
        with suppress(Exception):
            self._folder.remove(self._marker)

    def publish(self, manifest: bytes, names: Sequence[str]) -> None:
        """Writes the manifest, if it is still the one that this attempt found.

        Raises:
            DestinationError: another attempt committed since this one began.
        """
        folder = self._folder
        # Listed before the commit: attempts whose parts are here began before it, and so cannot commit after it.
        kept = {MANIFEST, *names}
        others = [name for name in folder.files() if is_ours(name) and name not in kept]
        # The version is read before the content: a later manifest must not pass for the one found.
        version = folder.version(MANIFEST)
        if (there := folder.read(MANIFEST)) != self.found:
            self._give_way(there, names)
            raise superseded_error(folder)
        self._may_count = True
        try:
            folder.replace(MANIFEST, manifest, version)
        except Exception:
            if not self._is_committed(manifest, names):
                raise
        self._require_parts(manifest, names)
        self._remove_replaced({*others, self._marker})

    def _remove_replaced(self, names: Collection[str]) -> None:
        try:
            for name in names:
                self._folder.remove(name)
        # Of any store.
        except Exception as error:
            reason = f"{type(error).__name__}: {read_reason(error)}"
            raise DestinationError(
                f"The output was committed, but objects of earlier attempts cannot be removed ({reason})",
                where=f"at {self._folder}",
                hint="Give the login the right to delete objects, such as s3:DeleteObject, and run the task again.",
            ) from error

    def _give_way(self, there: bytes | None, names: Sequence[str]) -> None:
        """Removes the parts of this attempt that were kept, except those that the winner took over."""
        for name in names:
            if f"-{self._attempt}." in name and name.encode() not in (there or b""):
                self._folder.remove(name)
        if self._attempt.encode() in (self._folder.read(PROGRESS) or b""):
            self._folder.remove(PROGRESS)

    def _is_committed(self, manifest: bytes, names: Sequence[str]) -> bool:
        """Returns whether ``manifest`` was written although its write raised an error.

        When a response is lost, the library repeats the request. The store then refuses it because the first one succeeded.

        Raises:
            DestinationError: another attempt's manifest is there.
        """
        there = self._folder.read(MANIFEST)
        if there in {manifest, self.found}:
            return there == manifest
        self._may_count = False
        self._give_way(there, names)
        raise superseded_error(self._folder)

    def _require_parts(self, manifest: bytes, names: Sequence[str]) -> None:
        """Raises when a part was removed, which happens only where a store ignores conditions."""
        listed = set(self._folder.files())
        # adlfs lists a folder that has a marker as empty.
        if all(name in listed or self._folder.version(name) is not None for name in names):
            return
        if self._folder.read(MANIFEST) == manifest:
            self._folder.remove(MANIFEST)
        raise DestinationError(
            "A part that was written is gone, so the output is not whole",
            where=f"at {self._folder}",
            hint="Another attempt wrote at the same time, and this store does not support conditional writes.",
        )

    def discard(self) -> None:
        """Removes the parts of this attempt and the marker; leaves parts that a manifest or progress may name."""
        if self._may_count:
            for handle in self._mine.values():
                with suppress(Exception):
                    _abandon(handle)
            with suppress(Exception):
                self._folder.remove(self._marker)
        else:
            self._remove_mine()


def _list_folders(name: str) -> list[str]:
    """Returns the folders that an object is in, from the outermost: ``a/b/c`` is in ``a`` and ``a/b``."""
    return list(accumulate(name.split("/")[:-1], "{}/{}".format))


def _abandon(handle: IO[bytes]) -> None:
    """Drops a file without closing it. fsspec commits a file that is closed, or garbage-collected."""
    raw: Any = getattr(handle, "_obj", handle)  # Airflow wraps it for lineage
    if raw.closed:
        return
    try:
        raw.discard()  # S3: aborts the upload
    finally:
        with suppress(AttributeError):  # a file in memory says itself whether it is closed
            raw.closed = True
