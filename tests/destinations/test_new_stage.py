"""A new stage is one builder in ``STAGE_BUILDERS``. This file is such a stage, switched on by a spec."""

from __future__ import annotations

import inspect
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest

from oauth_taskflow.api.decoders.numbers import decode
from oauth_taskflow.api.options import PageNumberPaginator
from oauth_taskflow.api.pull.page import Page
from oauth_taskflow.api.session import OAuthSession
from oauth_taskflow.contracts.check_options import Checks
from oauth_taskflow.destinations.base import StoreAccess
from oauth_taskflow.destinations.transfer import ResumableStage, Stage, TransferSummary
from oauth_taskflow.engine import stages
from oauth_taskflow.engine.run import EndpointRun, run_endpoint
from oauth_taskflow.engine.stages import STAGE_BUILDERS, StageOptions
from oauth_taskflow.engine.summary import EndpointSummary
from oauth_taskflow.errors import InvalidRecord
from oauth_taskflow.fields.options import Fields
from oauth_taskflow.specs.check import check_text
from oauth_taskflow.specs.model import Endpoint
from oauth_taskflow.specs.windows import Incremental, Interval
from tests.api.scripted import scripted
from tests.support.auth import bearer_auth

SPEC = """\
version: 1
dag_id: people
connection: crm
endpoints:
  contacts:
    description: %s
    request: {path: /contacts}
    records: data
    primary_key: id
    destination: {path: "%s"}
"""
# Uses every stage there is: a builder that makes nothing of it is not finished.
EVERYTHING = Endpoint(
    primary_key="id",
    paginate=PageNumberPaginator(total="total"),
    incremental=Incremental(field="at", start="2024-01-01", keep="window"),
    where="active",
    fields=Fields(drop=["_links"]),
    contract="evolve",
    checks=Checks(unique=["id"]),
)


class AdultStage:
    """Hands on who is of age, and refuses an output in which no one is."""

    def process(self, records: list[Any], page: Page) -> list[Any]:
        read = [decode(record) for record in records]
        if any("age" not in record for record in read):
            raise InvalidRecord(f"A record of page {page.index} has no age")
        return [record for record in read if record["age"] >= 18]

    def finish(self, summary: TransferSummary) -> TransferSummary:
        if not summary.rows:
            raise InvalidRecord("No record is of an adult")
        return msgspec.structs.replace(summary, warnings=("Adults only",))


def build_adult_stage(options: StageOptions) -> Stage | None:
    return AdultStage() if options.endpoint.description == "adults" else None


def pull(folder: Path, ages: list[Any], description: str = "adults") -> EndpointSummary:
    spec = check_text(SPEC % (description, folder)).spec
    assert spec is not None
    run = EndpointRun(
        name="contacts",
        endpoint=spec.endpoints["contacts"],
        run_id="r",
        template_context={"endpoint": "contacts"},
        interval=Interval(None, datetime(2026, 1, 1, tzinfo=timezone.utc)),
        access=StoreAccess(lambda path, _conn_id: Path(path)),
    )
    records = [{"id": number, **age} for number, age in enumerate(ages)]
    with (
        scripted(lambda _: {"data": records}) as api,
        OAuthSession(api.url, bearer_auth("t")) as session,
    ):
        return run_endpoint(run, session)


@pytest.fixture(autouse=True)
def _new_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "STAGE_BUILDERS", (*STAGE_BUILDERS, build_adult_stage))


def test_a_spec_that_names_the_stage_passes_its_records_through(tmp_path: Path) -> None:
    summary = pull(tmp_path, [{"age": 17}, {"age": 18}, {"age": 40}])
    assert (summary.rows, summary.warnings) == (2, ["Adults only"])
    lines = Path(summary.files[0].path).read_bytes().splitlines()
    assert [decode(line)["age"] for line in lines] == [18, 40]


def test_a_spec_that_does_not_name_it_does_not_meet_it(tmp_path: Path) -> None:
    assert pull(tmp_path, [{"age": 17}], "all").rows == 1


def test_a_stage_may_refuse_a_record_and_the_error_names_the_page(tmp_path: Path) -> None:
    with pytest.raises(InvalidRecord, match=r"A record of page 0 has no age at http://.*/contacts"):
        pull(tmp_path, [{}])
    assert not list(tmp_path.rglob("part-*"))


def test_a_stage_may_refuse_the_whole_output_before_the_commit(tmp_path: Path) -> None:
    pull(tmp_path, [{"age": 18}])
    with pytest.raises(InvalidRecord, match="No record is of an adult"):
        pull(tmp_path, [{"age": 3}])
    (manifest,) = tmp_path.rglob("_manifest.json")
    assert decode(manifest.read_bytes())["rows"] == 1


def is_whole(stage: Any) -> bool:
    """Whether ``stage`` has the methods of the protocol, with their parameters."""
    return isinstance(stage, Stage) and all(
        list(inspect.signature(getattr(stage, name)).parameters)
        == list(inspect.signature(getattr(Stage, name)).parameters)[1:]
        for name in ("process", "finish")
    )


@pytest.mark.parametrize("build", STAGE_BUILDERS)
def test_each_builder_makes_a_whole_stage_of_an_endpoint_that_uses_it(build: Any) -> None:
    assert is_whole(build(StageOptions(EVERYTHING)))
    assert build(StageOptions(Endpoint())) is None


def test_a_stage_without_its_end_is_noticed() -> None:
    class HalfStage:
        def process(self, records: list[Any], page: Page) -> list[Any]:
            return records

    assert is_whole(AdultStage())
    assert not is_whole(HalfStage())


def test_every_stage_can_be_gone_on_with_in_another_attempt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stages, "STAGE_BUILDERS", STAGE_BUILDERS)
    built = stages.build_stages(StageOptions(EVERYTHING))
    assert [type(stage).__name__ for stage in built if not isinstance(stage, ResumableStage)] == []
