"""A pull that was cut off finds the same repeats as one that was not, in whatever form its records come back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.contracts.check_options import Checks
from oauth_taskflow.contracts.options import Contract, GivenSchema
from oauth_taskflow.destinations.files import FileDestination
from oauth_taskflow.destinations.formats import FORMATS
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.specs.model import Request
from oauth_taskflow.specs.windows import Incremental, Interval
from oauth_taskflow.watermarks.partitions import EndpointId
from oauth_taskflow.watermarks.run_watermarks import RunWatermarks
from oauth_taskflow.watermarks.store import WatermarkStore
from tests.engine.cut_off import END, ListedApi, build_endpoint, pull_after_cuts

FORMATS_HERE = pytest.mark.parametrize("file_format", ["jsonl", "parquet", "csv"])
AT = "2026-01-01T10:00:00Z"
DECIMALS = Contract(
    columns="evolve", types="evolve", schema=GivenSchema(fields={"id": "decimal(12, 2)"})
)
ONE_SEQUENCE = {"request": Request(path="/rows/ann")}


def read(summary: Any, file_format: str) -> list[Any]:
    records: list[Any] = []
    for part in summary.files:
        with Path(part.path).open("rb") as file:
            records += FORMATS[file_format].read_records(file, 0, part.rows)
    return records


def pull_with(
    folder: Path, listed: Mapping[str, Any], cuts: list[int], file_format: str, **more: Any
) -> Any:
    """Pulls into an empty folder; with ``incremental``, by stored watermark."""
    folder = folder / f"cut-{len(cuts)}"
    folder.mkdir()
    api = ListedApi(listed, cuts)
    endpoint = build_endpoint(folder, api.style, file_format, **more)
    options: dict[str, Any] = {} if len(listed) > 1 else {"item": {}}
    if endpoint.incremental is not None:
        store = WatermarkStore(f"sqlite:///{folder}/w.db")
        identity = EndpointId("crm", "rows", "crm")
        options["watermarks"] = RunWatermarks(store, identity, "r", lambda _place: None)
        options["interval"] = Interval(None, END, open_end=True)
    return pull_after_cuts(folder, api, endpoint, **options)


def check(
    folder: Path, listed: Mapping[str, Any], file_format: str, *, resumed: int, **more: Any
) -> None:
    """Pulls ``listed`` twice, and compares the outputs: the second time the second request is refused once."""
    uncut, cut = (pull_with(folder, listed, cuts, file_format, **more) for cuts in ([], [1]))
    assert read(cut, file_format) == read(uncut, file_format)
    assert (cut.rows, cut.duplicates) == (uncut.rows, uncut.duplicates)
    assert uncut.duplicates == 1
    assert cut.resumed == resumed


@FORMATS_HERE
def test_an_equal_record_of_another_parent_is_a_repeat(tmp_path: Path, file_format: str) -> None:
    shared = {"id": 1, "text": "shared"}
    listed = {"ann": [[shared, {"id": 2, "more": True}]], "bob": [[shared, {"id": 3}]]}
    check(tmp_path, listed, file_format, resumed=int(file_format == "jsonl"))


@FORMATS_HERE
def test_an_equal_record_is_a_repeat_in_a_run_by_watermark(
    tmp_path: Path, file_format: str
) -> None:
    first, other = {"id": 1, "at": AT}, {"id": 2, "at": AT}
    listed = {"ann": [[first, other], [{**other, "x": 1}, first]]}
    more = {
        "request": Request(path="/rows/ann", params={"from": "{{ window.start }}"}),
        "incremental": Incremental(by="watermark", field="at", start="2026-01-01"),
    }
    check(tmp_path, listed, file_format, resumed=int(file_format == "jsonl"), **more)


@FORMATS_HERE
def test_a_page_sequence_starts_over_whose_keys_come_back_in_another_form(
    tmp_path: Path, file_format: str
) -> None:
    listed = {"ann": [[{"id": 1.1}, {"id": 2.2}], [{"id": 2.2}, {"id": 3.3}]]}
    more = {**ONE_SEQUENCE, "contract": DECIMALS}
    check(tmp_path, listed, file_format, resumed=int(file_format != "csv"), **more)


@FORMATS_HERE
def test_a_key_that_comes_back_as_it_was_is_gone_on_with(tmp_path: Path, file_format: str) -> None:
    listed = {"ann": [[{"id": "a"}, {"id": "b", "n": 1.5}], [{"id": "b"}, {"id": "c"}]]}
    check(tmp_path, listed, file_format, resumed=int(file_format != "csv"), **ONE_SEQUENCE)


@pytest.mark.parametrize("first", ["jsonl", "parquet"])
def test_of_several_destinations_the_one_that_changes_no_record_is_read(
    tmp_path: Path, first: str
) -> None:
    shared = {"id": 1, "text": "shared"}
    listed = {"ann": [[shared, {"id": 2, "more": True}]], "bob": [[shared, {"id": 3}]]}
    second = "parquet" if first == "jsonl" else "jsonl"
    destinations = [
        FileDestination(path=f"{tmp_path}/{{{{ endpoint }}}}-{name}", format=name)
        for name in (first, second)
    ]
    api = ListedApi(listed, [1])
    endpoint = build_endpoint(tmp_path, api.style, destination=None, destinations=destinations)
    summary = pull_after_cuts(tmp_path, api, endpoint)
    assert (summary.rows, summary.duplicates, summary.resumed) == (3, 1, 1)


@FORMATS_HERE
@pytest.mark.parametrize("cuts", [[], [1]])
def test_a_value_that_must_be_unique_is_found_again(
    tmp_path: Path, file_format: str, cuts: list[int]
) -> None:
    listed = {"ann": [[{"id": 1.1}, {"id": 2.2}], [{"id": 2.2}]]}
    more: dict[str, Any] = {**ONE_SEQUENCE, "contract": DECIMALS, "primary_key": None}
    checks = Checks(unique=["id"])
    with pytest.raises(InvalidRecord, match="unique: 1 of 3 records repeat 'id'"):
        pull_with(tmp_path, listed, cuts, file_format, checks=checks, **more)
