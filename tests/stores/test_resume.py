"""Pulls that are killed while they write to a real server of S3 or Azure Blob Storage, and go on in the next process."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

pytest.importorskip(
    "s3fs", reason="object stores are tested in .venv-services (scripts/test-services)"
)

from oauth_taskflow.destinations.files import output_folder
from tests.api.scripted import scripted
from tests.engine.cut_off import PagedApi
from tests.engine.killed_pull import pull, pull_in_process
from tests.stores.opener import open_folder

pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")

OPENER = "tests.stores.opener"
WRITER = "oauth_taskflow.destinations.folder_writer:FolderWriter"
ATTEMPT = "oauth_taskflow.destinations.object_folder:ObjectAttempt"
# The step at which the process dies, and how many of six pages may be asked for again.
STEPS = [
    (f"{WRITER}.write", 3, 4),
    (f"{WRITER}.keep", 2, 4),
    (f"{ATTEMPT}.keep", 2, 4),
    (f"+{ATTEMPT}.keep", 2, 4),
    (f"{ATTEMPT}.publish", 0, 0),
    (f"+{ATTEMPT}.publish", 0, 6),
]


def read_rows(folder: Any) -> list[Any]:
    names = [name for name, _ in output_folder(folder).entries()]  # type: ignore[attr-defined]
    manifest = json.loads(folder.fs.cat_file((folder / "_manifest.json").path))
    files = manifest["files"]
    assert sorted(names) == sorted(["_manifest.json", *(file["name"] for file in files)])
    contents = [folder.fs.cat_file((folder / file["name"]).path) for file in files]
    digests = [hashlib.sha256(content).hexdigest() for content in contents]
    assert digests == [file["sha256"] for file in files]
    return [json.loads(line) for line in b"".join(contents).splitlines()]


@pytest.mark.parametrize(
    ("die_at", "count", "again"), STEPS, ids=[f"step {number}" for number in range(len(STEPS))]
)
def test_a_pull_that_was_killed_goes_on_with_the_parts_in_the_store(
    place: str, die_at: str, count: int, again: int
) -> None:
    api = PagedApi("cursor", {"ann": 6})
    with scripted(api) as server:
        options = (OPENER, "cursor", "jsonl", server.url)
        assert pull_in_process(place, *options, die_at, str(count)) == -9
        pull(place, *options)
    rows = read_rows(open_folder(f"{place}/run_id=r"))
    assert [row["id"] for row in rows] == [f"ann-{number}" for number in range(11)]
    assert sum(api.asked.values()) <= 6 + again
