"""Pulls whose process is killed at each step: the next one goes on, and the output is whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.api.scripted import scripted
from tests.destinations.attempts import unpack
from tests.engine.cut_off import PagedApi
from tests.engine.killed_pull import pull, pull_in_process

pytestmark = pytest.mark.slow

OPENER = "tests.destinations.attempts"
WRITER = "oauth_taskflow.destinations.folder_writer:FolderWriter"
FOLDER = "oauth_taskflow.destinations.local_folder:LocalAttempt"
PAGES = {"ann": 6}
# The steps of a page and of the commit, before (and with + after) which the process dies.
STEPS = [
    (f"{WRITER}.write", 3),
    (f"+{WRITER}.write", 3),
    (f"{WRITER}.keep", 2),
    (f"{FOLDER}.keep", 2),
    (f"+{FOLDER}.keep", 2),
    (f"{WRITER}.commit", 0),
    (f"{FOLDER}.publish", 0),
    ("pathlib:Path.replace", 7),
    ("pathlib:Path.replace", 8),
    (f"+{WRITER}.commit", 0),
]
# How many pages may be asked for again: those not kept yet, and those read ahead. The part's rename ends the progress, a commit makes the next attempt begin.
REPEATED = {"write": 4, "keep": 4, "commit": 0, "publish": 0, "replace": 6}


def read_rows(folder: Path) -> list[Any]:
    manifest = json.loads((folder / "run_id=r" / "_manifest.json").read_bytes())
    (file,) = manifest["files"]
    data = (folder / "run_id=r" / file["name"]).read_bytes()
    rows = [json.loads(line) for line in unpack(data, file["name"]).splitlines()]
    assert manifest["rows"] == len(rows)
    return rows


@pytest.mark.parametrize(("place", "count"), STEPS)
@pytest.mark.parametrize("file_format", ["jsonl", "jsonl.gz", "jsonl.zst"])
def test_a_pull_that_was_killed_goes_on_in_the_next_process(
    tmp_path: Path, place: str, count: int, file_format: str
) -> None:
    api = PagedApi("cursor", PAGES)
    with scripted(api) as server:
        options = (OPENER, "cursor", file_format, server.url)
        assert pull_in_process(str(tmp_path), *options, place, str(count)) == -9
        pull(str(tmp_path), *options)
    ids = [row["id"] for row in read_rows(tmp_path)]
    assert ids == [f"ann-{number}" for number in range(11)]
    assert sorted(path.name for path in (tmp_path / "run_id=r").iterdir()) == [
        "_manifest.json",
        f"part-00000.{file_format}",
    ]
    # Everything up to the last progress is asked for once; what was in flight then, and after it, again.
    repeated = 6 if place == f"+{WRITER}.commit" else REPEATED[place.rpartition(".")[2]]
    assert sum(api.asked.values()) <= len(range(6)) + repeated
