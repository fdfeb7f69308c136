"""Attempts that are killed before any of their writes: a run is there whole or not at all, and after the next attempt once."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from oauth_taskflow.destinations.base import EndpointFacts
from tests.tables.forked import can_kill
from tests.tables.kinds import Kind, open_iceberg, put, read_rows
from tests.tables.lakes.attempts import Attempt, AttemptOptions, make_records

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not can_kill(), reason="needs Linux and a C compiler"),
]
# Whether the table is there, with an earlier try of the run, and the mode.
STARTS = {"new": "replace_run", "again": "replace_run", "merge": "merge"}
# Shares of the writes of an attempt; the last ones are those of its commit, and get most of the kills.
GATE = (0.02, 0.3, 0.5, 0.7, 0.8, 0.88, 0.94, 1.0)
FULL = [(step + 1) / 40 for step in range(40)]
OTHERS = [("r0", 7, "other")]
# How often an attempt writes, by kind and start.
_WRITES: dict[tuple[str, str], int] = {}


def begin(kind: Kind, folder: Path, start: str) -> None:
    if start == "new":
        return
    facts = EndpointFacts(("id",))
    put(kind, folder, [{"id": 7, "tag": "other"}], "r0", facts=facts, mode=STARTS[start])
    old = [{"id": number, "tag": "old"} for number in range(3)]
    put(kind, folder, old, "r1", facts=facts, mode=STARTS[start])


def count_writes(kind: Kind, folder: Path, start: str) -> int:
    """The writes of an attempt that is left alone."""
    if (kind.name, start) not in _WRITES:
        begin(kind, folder, start)
        ended = Attempt(kind, folder, AttemptOptions("x", mode=STARTS[start])).run()
        assert ended.startswith("won "), ended
        _WRITES[kind.name, start] = int(ended.split()[1])
    return _WRITES[kind.name, start]


def check_kill(kind: Kind, folder: Path, start: str, share: float) -> None:
    """Kills an attempt at one of its writes, and lets two others commit after it."""
    probe, place = folder / "probe", folder / "killed"
    probe.mkdir()
    place.mkdir()
    die_at = max(1, round(count_writes(kind, probe, start) * share))
    begin(kind, place, start)
    before = read(kind, place)
    killed = Attempt(kind, place, AttemptOptions("new", mode=STARTS[start], die_at=die_at))
    assert killed.run() == "killed"
    others = [] if start == "new" else OTHERS
    whole = [*others, *(("r1", number, "new") for number in range(4))]
    assert read(kind, place) in (before, whole), die_at
    left = list_files(place)
    for tag, rows in (("again", 2), ("last", 5)):
        options = AttemptOptions(tag, rows)
        put(kind, place, make_records(options), facts=EndpointFacts(("id",)), mode=STARTS[start])
        mine = [("r1", number, tag) for number in range(rows)]
        found = read(kind, place)
        # A merge takes no row away: those of another attempt whose keys are not among its own stay.
        ours = [row for row in found if row in others or row[2] == tag]
        assert ours == [*others, *mine], die_at
        keys = [row[1] for row in found]
        assert len(keys) == len(set(keys)), die_at
        assert STARTS[start] == "merge" or found == ours, die_at
    assert list((place / "tmp").iterdir()) == []
    unknown = list_files(place) - find_referenced(kind, place)
    assert unknown <= left, "an attempt that was not killed left something"


def read(kind: Kind, folder: Path) -> list[tuple[object, ...]]:
    """The rows; none while there is no table."""
    if kind.name == "iceberg" and not (folder / "lake" / "catalog.db").exists():
        return []
    try:
        return read_rows(kind, folder, "_run_id", "id", "tag")
    except Exception as error:
        if type(error).__name__ not in {"TableNotFoundError", "NoSuchTableError"}:
            raise
        return []


def list_files(folder: Path) -> set[Path]:
    """All files of the table, and none of the catalog's database."""
    return {
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("catalog.db")
    }


def find_referenced(kind: Kind, folder: Path) -> set[Path]:
    """The files that the log or the metadata of the table name, and these themselves."""
    if kind.name == "delta":
        log = folder / "contacts" / "_delta_log"
        actions = [json.loads(line) for file in log.glob("*.json") for line in file.open()]
        added = [unquote(action["add"]["path"]) for action in actions if "add" in action]
        return {*log.glob("*.json"), *(folder / "contacts" / name for name in added)}
    table = open_iceberg(folder)
    found = [table.metadata_location, *(one.metadata_file for one in table.metadata.metadata_log)]
    for snapshot in table.metadata.snapshots:
        found.append(snapshot.manifest_list)
        for manifest in snapshot.manifests(table.io):
            found.append(manifest.manifest_path)
            entries = manifest.fetch_manifest_entry(table.io, discard_deleted=False)
            found += [entry.data_file.file_path for entry in entries]
    return {Path(urlsplit(uri).path) for uri in found}


@pytest.mark.parametrize("part", range(len(GATE)))
def test_a_kill_at_a_write_shows_the_run_whole_or_not_at_all_and_after_the_next_once(
    kind: Kind, tmp_path: Path, part: int
) -> None:
    check_kill(kind, tmp_path, list(STARTS)[part % len(STARTS)], GATE[part])


@pytest.mark.full
@pytest.mark.parametrize("part", range(len(FULL)))
@pytest.mark.parametrize("start", list(STARTS))
def test_a_kill_at_any_write_leaves_a_table_that_the_next_attempts_complete(
    kind: Kind, tmp_path: Path, start: str, part: int
) -> None:
    check_kill(kind, tmp_path, start, FULL[part])
