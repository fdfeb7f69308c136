"""A run that is cut off, at an object store: its parts stay, and the manifest of the next attempt names them."""

from __future__ import annotations

import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from upath import UPath

from oauth_taskflow.destinations.base import Run, StoreAccess
from oauth_taskflow.destinations.files import FileDestination, FolderDestination
from oauth_taskflow.engine.resume import ResumeOptions
from oauth_taskflow.errors import ApiError, DestinationError
from tests.api.scripted import Reply
from tests.destinations.attempts import summary, unpack
from tests.engine.cut_off import SEAL, PagedApi, build_endpoint, pull

PAGES = {"ann": 4, "bob": 2, "cy": 3}
_numbers = itertools.count()


def run(folder: Path, store: str, api: PagedApi, file_format: str, keep_every: float) -> Any:
    endpoint = build_endpoint(folder, api.style)
    destination = FileDestination(path=store, format=file_format)
    return pull(
        folder,
        api,
        msgspec.structs.replace(endpoint, destination=destination),
        list(PAGES),
        access=StoreAccess(
            lambda path, _: UPath(path) if path.startswith("memory") else Path(path)
        ),
        resume=ResumeOptions(SEAL, keep_every=keep_every),
    )


def new_store() -> str:
    return f"memory://resume-{next(_numbers)}"


def read(store: str) -> tuple[dict[str, Any], bytes]:
    """Returns the figures and the records, and checks that nothing else is there."""
    root = UPath(store) / "run_id=r"
    manifest = json.loads((root / "_manifest.json").read_bytes())
    names = [file["name"] for file in manifest["files"]]
    assert sorted(path.name for path in root.iterdir()) == sorted(["_manifest.json", *names])
    contents = [(root / name).read_bytes() for name in names]
    assert [hashlib.sha256(content).hexdigest() for content in contents] == [
        file["sha256"] for file in manifest["files"]
    ]
    figures = {name: manifest[name] for name in ("rows", "pages", "dropped", "received_bytes")}
    return figures, b"".join(map(unpack, contents, names))


@pytest.mark.slow
@pytest.mark.parametrize("file_format", ["jsonl", "jsonl.gz", "jsonl.zst"])
@pytest.mark.parametrize("keep_every", [0.0, 1e9])
@pytest.mark.parametrize("cuts", [{0}, {1}, {2}, {5}, {8}, {1, 3}, {2, 6, 10}, {0, 1, 2, 3}])
def test_wherever_a_pull_is_cut_off_its_records_come_once(
    tmp_path: Path, file_format: str, keep_every: float, cuts: set[int]
) -> None:
    plain, store = new_store(), new_store()
    run(tmp_path, plain, PagedApi("cursor", PAGES), file_format, 1e9)
    api = PagedApi("cursor", PAGES, cuts)
    for _ in cuts:
        with pytest.raises(ApiError):
            run(tmp_path, store, api, file_format, keep_every)
    run(tmp_path, store, api, file_format, keep_every)
    assert read(store) == read(plain)
    assert set(api.asked.values()) == {1}


def test_a_dead_cursor_drops_the_records_of_its_sequence_alone(tmp_path: Path) -> None:
    plain, store = new_store(), new_store()
    run(tmp_path, plain, PagedApi("cursor", PAGES), "jsonl", 1e9)
    api = PagedApi("cursor", PAGES, {3, 4})
    with pytest.raises(ApiError):
        run(tmp_path, store, api, "jsonl", 1e9)
    api.refusal = lambda: Reply({"error": "cursor expired"}, 410)
    run(tmp_path, store, api, "jsonl", 1e9)
    assert read(store) == read(plain)


def test_an_attempt_that_still_lives_harms_no_part_that_the_next_one_took_over() -> None:
    folder, this = UPath(new_store()), Run("rows", "r")
    destination = FolderDestination(folder)
    zombie = destination.open(this)
    zombie.write([{"id": 1}])
    zombie.keep(b"state")
    progress = destination.find_progress(this)
    assert progress is not None
    following = destination.resume(this, progress, 1)
    assert following is not None
    following.write([{"id": 2}])
    zombie.write([{"id": 3}])
    zombie.keep(b"more")
    following.commit(summary(2))
    with pytest.raises(DestinationError, match="Another attempt of the same run committed"):
        zombie.commit(summary(2))
    zombie.abort()
    manifest = json.loads((folder / "_manifest.json").read_bytes())
    names = [file["name"] for file in manifest["files"]]
    assert b"".join((folder / name).read_bytes() for name in names) == b'{"id":1}\n{"id":2}\n'
    assert sorted(path.name for path in folder.iterdir()) == sorted(["_manifest.json", *names])
