"""Every kind of destination in the spec format is whole: what the engine asks, it answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.destinations import DEFAULT_KIND
from oauth_taskflow.destinations.files import FileDestination, FolderDestination
from oauth_taskflow.destinations.formats import FORMATS
from oauth_taskflow.destinations.kinds import all_kinds, find_kind
from oauth_taskflow.destinations.requirements import find_missing
from tests.destinations.contract import as_given, as_texts, check_destination, find_gaps
from tests.test_architecture import PACKAGE, imports_of

# Options for each kind, by its name: a kind without them is not finished.
SAMPLES: dict[str, list[dict[str, Any]]] = {
    "python": [
        {"function": f"tests.destinations.author_sinks.{name}", "batch": batch, "size": 2}
        for name in ("Memory", "remember")
        for batch in ("records", "arrow")
    ],
    "file": [{"path": "{folder}/{{ endpoint }}", "format": name} for name in FORMATS],
    # Their libraries are in the environment of tests/tables, which makes this check, too.
    "delta": [{"path": "{folder}/{{ endpoint }}"}],
    "dlt": [
        {
            "destination": "duckdb",
            "dataset": "crm",
            "table": "{{ endpoint }}",
            "options": {"credentials": "{folder}/warehouse.duckdb"},
        }
    ],
    "iceberg": [{"warehouse": "{folder}", "table": "crm.{{ endpoint }}"}],
}
# Kinds that need a server, with the test that checks them by the same contract.
SERVED = {"postgres": "tests/destinations/postgres/test_contract.py"}


# The modules of this folder that the engine may import.
# Rejected records go to files, whatever the kind of the others.
NEUTRAL = (
    "arrow.converter",
    "arrow.widening",
    "base",
    "files",
    "kinds",
    "quarantine",
    "quarantine_folder",
    "requirements",
    "several",
    "transfer",
)


def name_of(kind: type[Any]) -> str:
    return str(kind.__struct_config__.tag)


@pytest.mark.parametrize(
    "kind", [kind for kind in all_kinds() if kind.__struct_config__.tag not in SERVED], ids=name_of
)
def test_each_kind_keeps_what_the_protocols_promise(kind: type[Any], tmp_path: Path) -> None:
    samples = SAMPLES[name_of(kind)]
    for number, sample in enumerate(samples):
        folder = str(tmp_path / str(number))
        given = json.loads(json.dumps(sample).replace("{folder}", folder))
        read_back = as_texts if sample.get("format") == "csv" else as_given
        options = kind(**given)
        if missing := find_missing(options):
            pytest.skip(f"{missing[0].module} is not installed here")
        check_destination(options, read_back)


def test_kinds_that_need_a_server_have_a_test_of_the_contract() -> None:
    assert set(SERVED) | set(SAMPLES) == {name_of(kind) for kind in all_kinds()}
    root = PACKAGE.parent
    assert all("check_destination(" in (root / path).read_text() for path in SERVED.values())


def test_kinds_are_found_by_the_name_they_have_in_specs() -> None:
    assert find_kind(DEFAULT_KIND) is FileDestination
    assert len({name_of(kind) for kind in all_kinds()}) == len(all_kinds())
    with pytest.raises(KeyError):
        find_kind("nonsense")


def test_the_engine_knows_the_protocols_and_no_kind() -> None:
    allowed = {"destinations", *(f"destinations.{name}" for name in NEUTRAL)}
    imported = {dotted for path in (PACKAGE / "engine").glob("*.py") for dotted in imports_of(path)}
    assert {dotted for dotted in imported if dotted.startswith("destinations")} == allowed


def test_a_kind_that_lacks_a_method_is_noticed() -> None:
    class HalfDestination:
        open = FolderDestination.open
        describe = FolderDestination.describe

    assert find_gaps(FileDestination, FolderDestination) == []
    assert find_gaps(FileDestination, HalfDestination) == [
        "HalfDestination.remove_stale",
        "HalfDestination.read",
        "HalfDestination.locate_manifest",
        "HalfDestination.read_manifest",
    ]
