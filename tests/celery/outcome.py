"""The records that a run of mapped tasks should write, those that it wrote, and the costs of it at the grant's server."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from upath import UPath

from oauth_taskflow.destinations.formats import find_format
from oauth_taskflow.testing import OAuthTestServer, dataset
from oauth_taskflow.testing.request_log import LoggedRequest
from tests.budgets.crowd import most_in_any

# Seconds between two refreshes, less what a request takes: a token is replaced a tenth of its life before its end.
TOKEN_LIFETIME, APART = 3.0, 2.4
# Fewer than the pages of one country, so that already a single task has to wait.
BUDGET, PERIOD = 5, 1.0
FORMATS = ("jsonl.gz", "parquet")
_TOKEN_PATH = "/oauth/token"
_ALL = 1_000_000


def choose_countries(count: int) -> list[str]:
    """Codes of ``count`` countries of a few pages each, the largest first; 185 have at most 60 airports."""
    found = json.loads(dataset.countries())
    found.sort(key=lambda each: (each["airports"], each["code"]), reverse=True)
    few = [each for each in found if each["airports"] <= 60][:count]
    chosen = few if len(few) == count else found[-count:]
    assert len(chosen) == count
    return [each["code"] for each in chosen]


def expected_records(countries: list[str]) -> list[dict[str, Any]]:
    """The airports of these countries, in the order of their codes."""
    rows = [dataset.select(country, "", "") for country in countries]
    return sort_by_code([record for each in rows for record in json.loads(each.page(0, len(each)))])


def sort_by_code(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(records, key=lambda record: str(record["icao"]))


def token_requests(server: OAuthTestServer) -> list[LoggedRequest]:
    return [asked for asked in server.requests if asked.path == _TOKEN_PATH]


@dataclass(frozen=True)
class Output:
    """The output of one run of a DAG in one format."""

    store: UPath
    dag_id: str
    file_format: str
    run_id: str

    @property
    def folder(self) -> UPath:
        run = f"run_id={quote(self.run_id, safe='')}"
        return self.store / self.dag_id / self.file_format / run

    def list_objects(self) -> list[str]:
        """All objects, hidden ones too, by their keys."""
        return sorted(self.store.fs.find(self.folder.path))

    def list_named(self) -> list[str]:
        """The manifests, and the objects that they name."""
        found = []
        for key in self.list_objects():
            if key.endswith("/_manifest.json"):
                folder = key.rpartition("/")[0]
                files = json.loads(self.store.fs.cat_file(key))["files"]
                found += [key, *(f"{folder}/{file['name']}" for file in files)]
        return sorted(found)

    def read_records(self) -> list[dict[str, Any]]:
        """All records that the manifests name, in the order of their codes."""
        records: list[dict[str, Any]] = []
        for key in self.list_named():
            if not key.endswith(".json"):
                with self.store.fs.open(key, "rb") as file:
                    name = key.rpartition("/")[2]
                    records += find_format(name).read_records(file, 0, _ALL)
        return sort_by_code(records)


def check_output(store: UPath, dag_id: str, run_id: str, countries: list[str]) -> None:
    """Fail unless the run wrote the airports of ``countries`` once in each format, and nothing else."""
    expected = expected_records(countries)
    for file_format in FORMATS:
        output = Output(store, dag_id, file_format, run_id)
        assert output.read_records() == expected
        assert output.list_objects() == output.list_named()


def check_grant(server: OAuthTestServer) -> None:
    """Fail unless tokens were refreshed several times, each once, and no refresh token was used twice."""
    asked = sorted(request.time for request in token_requests(server))
    assert len(asked) > 2
    assert min(later - sooner for sooner, later in itertools.pairwise(asked)) > APART
    counters = server.counters
    assert (counters.reuse_detected, counters.revoked_families) == (0, 0)


def check_budget(server: OAuthTestServer) -> None:
    """Fail if the server saw more requests in any period than the budget allows."""
    pages = [request.time for request in server.requests if request.path.startswith("/countries/")]
    assert pages
    assert most_in_any(pages, PERIOD) <= BUDGET
