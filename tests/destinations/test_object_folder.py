"""Commits to an object store whose answers are lost, or that another attempt overtakes. The store is in memory."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from upath import UPath

from oauth_taskflow.destinations.files import FolderDestination
from oauth_taskflow.destinations.object_folder import ObjectFolder
from oauth_taskflow.errors import DestinationError
from tests.destinations.attempts import RUN, read_committed, records, summary

_numbers = itertools.count()


@pytest.fixture
def folder() -> Any:
    return UPath(f"memory://object-folder-{next(_numbers)}/out")


def commit(folder: Any, tag: str, rows: int = 2) -> None:
    writer = begin(folder, tag, rows)
    try:
        writer.commit(summary(rows))
    except BaseException:
        writer.abort()
        raise


def begin(folder: Any, tag: str, rows: int = 2) -> Any:
    writer = FolderDestination(folder).open(RUN)
    writer.write(records(tag, rows))
    return writer


def list_objects(folder: Any) -> list[str]:
    return sorted(name for name in ObjectFolder(folder).files() if name)


class LostAnswers:
    """Writes of the manifest end with an error: ``reaches`` the store, or not, or comes after that of another attempt."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, *, reaches: bool, other: bytes = b""
    ) -> None:
        self._real = ObjectFolder.replace
        self._reaches, self._other = reaches, other
        monkeypatch.setattr(ObjectFolder, "replace", self._replace_of())

    def _replace_of(self) -> Any:
        def replace(folder: ObjectFolder, name: str, data: bytes, version: str | None) -> None:
            if self._reaches:
                self._real(folder, name, data, version)
            if self._other:
                folder.write(name, self._other)
            raise OSError("connection reset")

        return replace


def test_a_commit_whose_answer_was_lost_counts(
    folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(folder, "before")
    LostAnswers(monkeypatch, reaches=True)
    commit(folder, "new", 3)
    assert read_committed(folder) == records("new", 3)
    assert len(list_objects(folder)) == 2


def test_a_commit_that_did_not_arrive_fails_and_leaves_the_former_output(
    folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit(folder, "before")
    LostAnswers(monkeypatch, reaches=False)
    with pytest.raises(DestinationError, match="connection reset"):
        commit(folder, "new")
    assert read_committed(folder) == records("before", 2)
    monkeypatch.undo()
    commit(folder, "after")  # what may have counted is removed with the next commit
    assert read_committed(folder) == records("after", 2)
    assert len(list_objects(folder)) == 2


def test_of_a_lost_answer_and_another_manifest_the_other_counts(
    folder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    LostAnswers(monkeypatch, reaches=True, other=b'{"files": []}')
    with pytest.raises(DestinationError, match="Another attempt of the same run"):
        commit(folder, "new")
    assert list_objects(folder) == ["_manifest.json"]


def test_an_attempt_that_is_overtaken_removes_what_it_kept(folder: Any) -> None:
    slow = begin(folder, "slow")
    slow.keep(b"state")
    assert "_progress.msgpack" in list_objects(folder)
    commit(folder, "fast")
    with pytest.raises(DestinationError, match="Another attempt of the same run"):
        slow.commit(summary(2))
    slow.abort()
    assert read_committed(folder) == records("fast", 2)
    assert len(list_objects(folder)) == 2


def test_a_part_that_is_gone_at_the_commit_makes_it_fail(folder: Any) -> None:
    writer = begin(folder, "new")
    writer.keep(b"state")  # ends the part
    (part,) = (name for name in list_objects(folder) if name.startswith("part-"))
    ObjectFolder(folder).remove(part)
    with pytest.raises(DestinationError, match="A part that was written is gone"):
        writer.commit(summary(2))
    writer.abort()
    assert read_committed(folder) is None


def test_an_object_that_is_missing_has_no_size_version_or_content(folder: Any) -> None:
    there = ObjectFolder(folder)
    assert (there.size("x"), there.version("x"), there.read("x")) == (None, None, None)
    there.write("x", b"123")
    assert (there.size("x"), there.read("x")) == (3, b"123")
    assert not there.has_output()
