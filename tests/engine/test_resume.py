"""A run that is cut off goes on after its last page, and ends as one that was never cut off."""

from __future__ import annotations

import gzip
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.api.options import CursorPaginator
from oauth_taskflow.api.paginators.base import TotalRows
from oauth_taskflow.destinations import part_stream
from oauth_taskflow.destinations.transfer import TransferSummary
from oauth_taskflow.engine import fields_stage, stages
from oauth_taskflow.engine.filter_stage import FilterStage
from oauth_taskflow.engine.resume import PullSuspended, ResumeOptions
from oauth_taskflow.errors import ApiError, ApiRequestFailed, DestinationError, InvalidRecord
from oauth_taskflow.fields.options import Fields
from oauth_taskflow.specs.model import TaskOptions
from oauth_taskflow.specs.windows import Incremental, Interval
from tests.api.scripted import Asked, Reply
from tests.engine.cut_off import END, SEAL, PagedApi, build_endpoint, list_files, pull, read_output
from tests.support.clock import FakeClock

STYLES = ["page", "page ahead", "offset", "cursor", "next url", "link", "custom", "cursor header"]
NAMES = ["ann", "bob", "cy"]


@contextmanager
def new_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def uncut(style: str, pages: dict[str, int], **options: Any) -> tuple[Any, PagedApi]:
    api = PagedApi(style, pages)
    with new_folder() as folder:
        endpoint = build_endpoint(folder, style, **options)
        return read_output(pull(folder, api, endpoint, NAMES)), api


def pull_until_done(attempt: Callable[[], Any], most: int, errors: Any = ApiError) -> Any:
    for _ in range(most - 1):
        with suppress(errors):
            return attempt()
    return attempt()


@pytest.mark.no_cover
@pytest.mark.slow
@given(
    style=st.sampled_from(STYLES),
    pages=st.fixed_dictionaries({name: st.integers(0, 4) for name in NAMES}),
    cuts=st.sets(st.integers(0, 14), max_size=5),
    more=st.fixed_dictionaries(
        {"windows": st.booleans(), "concurrency": st.sampled_from([1, 1, 4])}
    ),
    options=st.builds(
        ResumeOptions, st.sampled_from([SEAL, None]), keep_every=st.sampled_from([0.0, 1e9])
    ),
)
def test_wherever_requests_fail_the_output_is_that_of_an_uncut_run(
    style: str, pages: dict[str, int], cuts: set[int], more: dict[str, Any], options: ResumeOptions
) -> None:
    seal = options.seal
    expected, plain = uncut(style, pages, **more)
    api = PagedApi(style, pages, cuts)
    with new_folder() as folder:
        endpoint = build_endpoint(folder, style, **more)
        summary = pull_until_done(
            lambda: pull(folder, api, endpoint, NAMES, resume=options),
            len(cuts) + 1,
        )
        assert read_output(summary) == expected
        assert list_files(folder) == ["_manifest.json", "part-00000.jsonl"]
    # Pages of a class may depend on those before; a URL of the API is kept only sealed.
    is_sealed = seal is not None or style not in {"next url", "link"}
    if style not in {"custom", "page ahead"} and is_sealed and more["concurrency"] == 1:
        assert api.asked == plain.asked, "a page was asked for twice"


class FailingFile:
    """Fails writes to the output, counted over all attempts, before or after the bytes are written."""

    def __init__(self, cuts: set[int], *, after: bool) -> None:
        self._cuts, self._after, self._count = cuts, after, 0
        self._write = part_stream.MeasuredFile.write

    def as_method(self) -> Callable[[Any, bytes], int]:
        """A function, which becomes a method of the class that it is set on."""

        def write(measured: Any, data: bytes) -> int:
            return self.write(measured, data)

        return write

    def write(self, measured: Any, data: bytes) -> int:
        number, self._count = self._count, self._count + 1
        if number in self._cuts and not self._after:
            raise OSError("No space left")
        written = self._write(measured, data)
        if number in self._cuts:
            raise OSError("No space left")
        return written


@pytest.mark.no_cover
@pytest.mark.slow
@given(
    style=st.sampled_from(STYLES),
    cuts=st.sets(st.integers(0, 20), max_size=4),
    after=st.booleans(),
    file_format=st.sampled_from(["jsonl", "jsonl.gz"]),
)
def test_wherever_writes_fail_the_records_are_those_of_an_uncut_run(
    style: str, cuts: set[int], after: bool, file_format: str
) -> None:
    pages = {"ann": 4, "bob": 2, "cy": 3}
    expected, _ = uncut(style, pages)
    api, failing = PagedApi(style, pages), FailingFile(cuts, after=after)
    with new_folder() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(part_stream.MeasuredFile, "write", failing.as_method())
        endpoint = build_endpoint(folder, style, file_format)
        summary = pull_until_done(
            lambda: pull(folder, api, endpoint, NAMES),
            len(cuts) + 1,
            DestinationError,
        )
        manifest, (content,) = read_output(summary)
        text = gzip.decompress(content) if file_format == "jsonl.gz" else content
        assert text == expected[1][0]
        assert (manifest["rows"], manifest["dropped"]) == (
            expected[0]["rows"],
            expected[0]["dropped"],
        )
        assert list_files(folder) == ["_manifest.json", f"part-00000.{file_format}"]


def cut_once(folder: Path, api: PagedApi, endpoint: Any, **options: Any) -> None:
    with pytest.raises(ApiError):
        pull(folder, api, endpoint, NAMES, **options)


def test_a_dead_page_cursor_makes_its_sequence_start_over_and_no_other(tmp_path: Path) -> None:
    pages = {"ann": 3, "bob": 4, "cy": 1}
    expected, plain = uncut("cursor", pages)
    api = PagedApi("cursor", pages, {5})
    endpoint = build_endpoint(tmp_path, "cursor")
    cut_once(tmp_path, api, endpoint)
    api.cuts, api.refusal = {6}, lambda: Reply({"error": "cursor expired"}, 400)
    summary = pull(tmp_path, api, endpoint, NAMES)
    assert read_output(summary) == expected
    twice = {target for target, count in api.asked.items() if count > 1}
    assert twice == {"/rows/bob", "/rows/bob?at=1"}
    assert set(api.asked) == set(plain.asked)


@pytest.mark.parametrize(
    "answer", [{"items": []}, {"items": [{"id": "bob-0", "at": "2026-01-01T00:00:00Z"}] * 2}]
)
def test_a_cursor_that_leads_nowhere_or_back_has_died(tmp_path: Path, answer: Any) -> None:
    pages = {"ann": 1, "bob": 4, "cy": 1}
    expected, _ = uncut("cursor", pages)
    api = PagedApi("cursor", pages, {3})
    endpoint = build_endpoint(tmp_path, "cursor")
    cut_once(tmp_path, api, endpoint)
    api.cuts, api.refusal = {4}, lambda: Reply(answer)
    assert read_output(pull(tmp_path, api, endpoint, NAMES)) == expected


@pytest.mark.parametrize(
    "changed",
    [
        {"run_id": "other"},
        {"map_index": 3},
        {"template_context": {"endpoint": "rows", "params": {"a": 2}}},
        {"interval": Interval(None, END)},
        {"resume": None},
    ],
)
def test_progress_of_another_definition_is_left_alone(
    tmp_path: Path, changed: dict[str, Any]
) -> None:
    api = PagedApi("page", {"ann": 2, "bob": 1, "cy": 1}, {3})
    endpoint = build_endpoint(tmp_path, "page")
    cut_once(tmp_path, api, endpoint)
    summary = pull(tmp_path, api, endpoint, NAMES, **changed)
    assert (summary.resumed, summary.pages) == (0, 7)


def test_another_spec_starts_over_and_another_task_option_does_not(tmp_path: Path) -> None:
    api = PagedApi("page", {"ann": 2, "bob": 1, "cy": 1}, {3, 4})
    endpoint = build_endpoint(tmp_path, "page")
    cut_once(tmp_path, api, endpoint)
    other = build_endpoint(tmp_path, "page", primary_key=None)
    cut_once(tmp_path, api, other)
    same = build_endpoint(tmp_path, "page", primary_key=None, task=TaskOptions(retries=9))
    summary = pull(tmp_path, api, same, NAMES)
    assert summary.resumed == 0
    # The second attempt failed at its first request, and what the first one kept is about another spec.
    assert summary.duplicates == 0


def test_resume_false_leaves_nothing_of_an_attempt_that_was_cut_off(tmp_path: Path) -> None:
    api = PagedApi("page", {"ann": 3}, {2})
    endpoint = build_endpoint(tmp_path, "page", resume=False)
    cut_once(tmp_path, api, endpoint)
    assert list_files(tmp_path) == []
    assert pull(tmp_path, api, endpoint, NAMES).resumed == 0


def test_other_parents_start_over(tmp_path: Path) -> None:
    pages = {"ann": 2, "bob": 2, "cy": 2, "dan": 2}
    api = PagedApi("page", pages, {5})
    endpoint = build_endpoint(tmp_path, "page")
    cut_once(tmp_path, api, endpoint)
    summary = pull(tmp_path, api, endpoint, ["dan", "bob", "cy"])
    content = Path(summary.files[0].path).read_text()
    assert ("dan-0" in content, "ann-0" in content) == (True, False)


def test_progress_is_of_no_use_after_a_day(tmp_path: Path) -> None:
    api = PagedApi("page", {"ann": 3}, {2})
    endpoint = build_endpoint(tmp_path, "page")
    clock = FakeClock()
    options = ResumeOptions(SEAL, clock=clock)
    cut_once(tmp_path, api, endpoint, resume=options)
    clock.advance(86_401)
    assert pull(tmp_path, api, endpoint, NAMES, resume=options).resumed == 0


def test_a_long_wait_suspends_the_pull_and_five_in_a_row_without_a_page_fail_it(
    tmp_path: Path,
) -> None:
    api = PagedApi("cursor", {"ann": 4}, set(range(2, 8)))
    api.refusal = lambda: Reply({}, 429, headers={"Retry-After": "3600"})
    endpoint = build_endpoint(tmp_path, "cursor")
    for _ in range(5):
        with pytest.raises(PullSuspended, match="goes on in 3600 s") as caught:
            pull(tmp_path, api, endpoint, NAMES)
        assert (caught.value.retryable, caught.value.retry_after) == (True, 3600.0)
    with pytest.raises(ApiRequestFailed) as failed:
        pull(tmp_path, api, endpoint, NAMES)
    assert failed.value.retry_after == 3600.0
    summary = pull(tmp_path, api, endpoint, NAMES)
    assert (summary.pages, summary.resumed) == (6, 6)
    assert set(api.asked.values()) == {1}


def test_five_days_of_a_budget_of_a_day_end_complete(tmp_path: Path) -> None:
    days, budget = 5, 20
    api = PagedApi("cursor", {"ann": days * budget})
    api.cuts = {budget * day + day - 1 for day in range(1, days + 1)}
    api.refusal = lambda: Reply({}, 429, headers={"Retry-After": "86400"})
    endpoint = build_endpoint(tmp_path, "cursor")
    options = ResumeOptions(SEAL, keep_every=1e9)
    waits = 0
    while True:
        try:
            summary = pull(tmp_path, api, endpoint, ["ann"], resume=options)
            break
        except PullSuspended:
            waits += 1
    assert (summary.pages, waits, set(api.asked.values())) == (days * budget, days - 1, {1})


def test_an_output_that_a_stage_refused_is_read_again_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Vetoing(FilterStage):
        def finish(self, summary: TransferSummary) -> TransferSummary:
            raise InvalidRecord("Too few records")

    api = PagedApi("page", {"ann": 3})
    endpoint = build_endpoint(tmp_path, "page", where="id")
    with monkeypatch.context() as patch:
        patch.setattr("oauth_taskflow.engine.stages.FilterStage", Vetoing)
        with pytest.raises(InvalidRecord, match="Too few records"):
            pull(tmp_path, api, endpoint, ["ann"])
    assert list_files(tmp_path) == []
    assert pull(tmp_path, api, endpoint, ["ann"]).resumed == 0


def test_a_stage_without_saved_state_turns_resuming_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Plain:
        def process(self, records: list[Any], page: Any) -> list[Any]:
            return records

        def finish(self, summary: TransferSummary) -> TransferSummary:
            return summary

    monkeypatch.setattr(stages, "STAGE_BUILDERS", (lambda _: Plain(),))
    api = PagedApi("page", {"ann": 3}, {2})
    endpoint = build_endpoint(tmp_path, "page")
    cut_once(tmp_path, api, endpoint)
    assert list_files(tmp_path) == []


def test_a_damaged_progress_or_part_starts_over(tmp_path: Path) -> None:
    for damage in ("_progress.msgpack", ".part-*"):
        folder = tmp_path / damage.strip(".*")
        folder.mkdir()
        api = PagedApi("page", {"ann": 3}, {2})
        endpoint = build_endpoint(folder, "page")
        cut_once(folder, api, endpoint)
        (damaged,) = (folder / "out" / "run_id=r").glob(damage)
        damaged.write_bytes(b"x" * damaged.stat().st_size)
        summary = pull(folder, api, endpoint, NAMES)
        assert (summary.resumed, summary.rows, summary.pages) == (0, 5, 6)
        assert list_files(folder) == ["_manifest.json", "part-00000.jsonl"]


def test_no_secret_of_a_url_is_in_the_progress(tmp_path: Path) -> None:
    class SignedApi(PagedApi):
        def answer(self, asked: Asked, place: str, at: int, pages: int) -> Reply:
            reply = super().answer(asked, place, at, pages)
            return Reply(reply.body.replace(b"?at", b"?key=hunter2&at"), headers=reply.headers)

    for seal in (SEAL, None):
        folder = tmp_path / str(seal is None)
        folder.mkdir()
        api = SignedApi("next url", {"ann": 4}, {2})
        cut_once(folder, api, build_endpoint(folder, "next url"), resume=ResumeOptions(seal))
        (progress,) = (folder / "out" / "run_id=r").glob("_progress*")
        assert b"hunter2" not in progress.read_bytes()


def test_now_is_one_instant_for_the_records_of_all_attempts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    days = iter(range(1, 9))
    monkeypatch.setattr(
        fields_stage,
        "add_now",
        lambda names: {**names, "now": fields_stage.Now(2026, 1, next(days), tzinfo=timezone.utc)},
    )
    fields = Fields(set={"pulled": "{{ now }}", "of": "{{ parent.name }}"})
    api = PagedApi("cursor", {"ann": 2, "bob": 3}, {1, 3})
    endpoint = build_endpoint(tmp_path, "cursor", fields=fields)
    cut_once(tmp_path, api, endpoint)
    cut_once(tmp_path, api, endpoint)
    summary = pull(tmp_path, api, endpoint, ["ann", "bob", "cy"])
    rows = [json.loads(line) for line in Path(summary.files[0].path).read_bytes().splitlines()]
    assert len({row["pulled"] for row in rows}) == 1
    assert [row["of"] for row in rows] == ["ann"] * 3 + ["bob"] * 5


def test_numbers_of_any_size_are_kept_and_end_no_pull(tmp_path: Path) -> None:
    def answer(asked: Asked) -> Any:
        at = int(asked.query.get("at", 0))
        last = len(asks) == 3
        asks.append(at)
        if last:
            return Reply({}, 503)
        body = {"items": [{"id": 10**25 + at}], "total": 10**30}
        return body | ({"next": str(at + 1)} if at < 3 else {})

    asks: list[int] = []
    total = TotalRows(path="total", approximate=True)
    endpoint = build_endpoint(
        tmp_path,
        "cursor",
        paginate=CursorPaginator(next="next", param="at", total=total),
        incremental=Incremental(field="id", field_format="integer", start="2026-01-01"),
    )
    for _ in range(2):
        with suppress(ApiRequestFailed):
            summary = pull(tmp_path, answer, endpoint, ["ann"])
    assert (summary.rows, summary.watermark, summary.resumed) == (4, 10**25 + 3, 1)
    assert asks == [0, 1, 2, 3, 3]


def test_an_attempt_that_another_overtook_leaves_nothing_behind(tmp_path: Path) -> None:
    pages = {"ann": 3}
    endpoint = build_endpoint(tmp_path, "cursor")
    overtaken: list[str] = []

    def overtake(asked: Asked) -> Any:
        if "at=2" in asked.target and not overtaken:
            overtaken.append(asked.target)
            pull(tmp_path, PagedApi("cursor", pages), endpoint, ["ann"], resume=None)
        return PagedApi("cursor", pages)(asked)

    with pytest.raises(DestinationError, match="Another attempt of the same run committed"):
        pull(tmp_path, overtake, endpoint, ["ann"])
    assert list_files(tmp_path) == ["_manifest.json", "part-00000.jsonl"]
