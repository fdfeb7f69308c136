"""A new kind of destination is one module and its name in ``AnyDestination``. This file is such a module.

The union is read when the spec format is built, so the tests extend it in a separate process.
"""

# ruff: noqa: PLC0415 - the spec format is built after the union was extended

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import pytest

from oauth_taskflow import destinations
from oauth_taskflow.destinations.base import (
    NO_FACTS,
    Description,
    EndpointFacts,
    ManifestPlace,
    Output,
    Part,
    Run,
    StoreAccess,
)
from oauth_taskflow.errors import ApiError
from oauth_taskflow.schema.types import Options, Text, doc
from tests.destinations.contract import check_destination

if TYPE_CHECKING:
    from oauth_taskflow.destinations.base import TemplateRenderer
    from oauth_taskflow.destinations.transfer import TransferSummary

ROOT = Path(__file__).resolve().parents[2]
# Shelf → the records on it; stands for a database.
SHELVES: dict[str, list[Any]] = {}


class ShelfDestination(Options, frozen=True, kw_only=True, tag_field="type", tag="shelf"):
    """Shelves in the memory of this process."""

    shelf: Annotated[Text | None, doc("Name of the shelf; a template.", "crm")] = None

    @property
    def address(self) -> str | None:
        return self.shelf

    def templates(self) -> dict[str, str]:
        return {} if self.shelf is None else {"shelf": self.shelf}

    def locate(self, render: TemplateRenderer, run_id: str) -> str:
        return f"{render(self.shelf or '')}@{run_id}"

    def connect(self, location: str, access: StoreAccess, facts: EndpointFacts = NO_FACTS) -> Shelf:
        return Shelf(location)

    @classmethod
    def connect_for_reading(cls, conn_id: str | None, access: StoreAccess) -> Shelf:  # noqa: ARG003 - of the protocol
        return Shelf("")


class Shelf:
    def __init__(self, name: str) -> None:
        self._name = name

    def open(self, run: Run) -> ShelfWriter:
        return ShelfWriter(self._key(run.map_index), run)

    def remove_stale(self, current: Mapping[int, str | None]) -> int:
        kept = {self._key(index) for index in current}
        stale = [key for key in SHELVES if key.startswith(f"{self._name}#") and key not in kept]
        for key in stale:
            del SHELVES[key]
        return len(stale)

    def read(
        self, part: str, skip: int, take: int, *, host: str = "", selector: str = ""
    ) -> Iterator[Any]:
        if part not in SHELVES:
            raise ApiError("The shelf is gone", where=f"at {part}")
        yield from SHELVES[part][skip : skip + take]

    def describe(self, output: Output) -> Description:
        key = output.location
        return Description([Part(key, rows=output.summary.rows, bytes=output.bytes)], key)

    def locate_manifest(self, run: Run) -> ManifestPlace:
        return ManifestPlace(self._key(run.map_index))

    def read_manifest(self, path: str) -> dict[str, Any] | None:
        return {} if path in SHELVES else None

    def _key(self, map_index: int) -> str:
        return f"{self._name}#{map_index}"


class ShelfWriter:
    def __init__(self, key: str, run: Run) -> None:
        self._key = key
        self._run = run
        self._records: list[Any] = []

    def write(self, records: Sequence[Any]) -> None:
        self._records += [
            msgspec.json.decode(record) if isinstance(record, msgspec.Raw) else record
            for record in records
        ]

    def commit(self, summary: TransferSummary) -> Output:
        SHELVES[self._key] = self._records
        return Output(self._key, (self._key,), 0, summary, self._run)

    def abort(self) -> None:
        self._records.clear()


SPEC = """\
version: 1
dag_id: family
connection: crm
defaults:
  records: data
  destination: {type: shelf, shelf: "{{ endpoint }}"}
endpoints:
  contacts: {request: {path: /contacts}}
  notes:
    for_each: {contact: contacts}
    request: {path: "/notes/{{ contact.id }}"}
"""


def pull_family() -> None:
    """Pulls parent and child of ``SPEC``, as their tasks do."""
    from oauth_taskflow.api.session import OAuthSession
    from oauth_taskflow.engine.for_each import ParentFile, build_mapped_items, for_each_options
    from oauth_taskflow.engine.run import EndpointRun, run_endpoint
    from oauth_taskflow.specs.check import check_text
    from oauth_taskflow.specs.windows import Interval
    from tests.api.scripted import Asked, scripted
    from tests.support.auth import bearer_auth

    def api(asked: Asked) -> Any:
        if asked.path == "/contacts":
            return {"data": [{"id": 1}, {"id": 2}]}
        return {"data": [{"note of": asked.path.rpartition("/")[2]}]}

    checked = check_text(SPEC)
    assert checked.spec is not None, checked.problems

    def run(name: str, session: OAuthSession, **options: Any) -> Any:
        assert checked.spec is not None
        task = EndpointRun(
            name=name,
            endpoint=checked.spec.endpoints[name],
            run_id="r",
            template_context={"endpoint": name},
            interval=Interval(None, datetime(2026, 1, 1, tzinfo=timezone.utc)),
            access=StoreAccess(lambda path, _conn_id: Path(path)),
            **options,
        )
        return run_endpoint(task, session)

    with scripted(api) as server, OAuthSession(server.url, bearer_auth("t")) as session:
        parents = run("contacts", session)
        (part,) = parents.files
        found = ParentFile(file=part.path, rows=part.rows, kind=parents.destination)
        (item,) = build_mapped_items(
            for_each_options(checked.spec.endpoints["notes"]), {"contacts": [found]}
        )
        run("notes", session, item=item, map_index=0)
    assert SHELVES == {
        "contacts@r#-1": [{"id": 1}, {"id": 2}],
        "notes@r#0": [{"note of": "1"}, {"note of": "2"}],
    }


def check_rules() -> None:
    """The rules about destinations know the new kind without a word about it."""
    from oauth_taskflow.specs.check import check_text

    def rules(old: str, new: str) -> list[str]:
        assert old in SPEC
        return [problem.rule for problem in check_text(SPEC.replace(old, new)).problems]

    assert rules("", "") == []
    assert rules(', shelf: "{{ endpoint }}"', "") == ["destination-missing"] * 2
    assert rules("{{ endpoint }}", "all") == ["destination-collision"]
    assert rules("{{ endpoint }}", "{{ endpoint }}{{ nothing }}") == ["undefined-template-name"]
    assert rules("{type: shelf, shelf", "{type: shelf, shelv") == ["unknown-key"]
    assert rules("{type: shelf, shelf", "{path") == []  # files, without a type


def run_with_shelves(function: str) -> None:
    script = (
        "from oauth_taskflow import destinations\n"
        "import tests.destinations.test_new_destination as new\n"
        "destinations.AnyDestination = destinations.AnyDestination | new.ShelfDestination\n"
        f"new.{function}()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_new_kind_keeps_the_contract() -> None:
    SHELVES.clear()
    check_destination(ShelfDestination(shelf="{{ endpoint }}"))


@pytest.mark.slow
def test_parents_and_children_of_a_spec_use_the_new_kind() -> None:
    run_with_shelves("pull_family")


@pytest.mark.slow
def test_the_check_of_specs_knows_the_new_kind() -> None:
    run_with_shelves("check_rules")


def test_the_kind_is_not_there_without_its_name_in_the_union() -> None:
    assert "Shelf" not in repr(destinations.AnyDestination)
