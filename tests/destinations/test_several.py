"""Several destinations of one endpoint: fed once, the first one last to commit, everything again after a failure."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.destinations.base import Destination, Output, Progress, Run, StoreAccess
from oauth_taskflow.destinations.files import FileDestination, FolderDestination
from oauth_taskflow.destinations.output_folders import is_ours
from oauth_taskflow.destinations.several import SeveralDestinations, SeveralOutput
from oauth_taskflow.destinations.transfer import TransferSummary
from oauth_taskflow.engine.resume import ResumeOptions
from oauth_taskflow.errors import ApiError, DestinationError
from tests.destinations.attempts import RUN, list_ours, records, summary
from tests.destinations.test_new_destination import SHELVES, Shelf
from tests.engine.cut_off import SEAL, PagedApi, build_endpoint, pull, read_output

ROOT = Path(__file__).resolve().parents[2]
WHOLE = ["_manifest.json", "part-00000.jsonl"]


def folders(base: Path, count: int = 2) -> SeveralDestinations:
    return SeveralDestinations([FolderDestination(base / str(n)) for n in range(count)])


def lines(folder: Path) -> list[Any]:
    (part,) = folder.glob("part-*")
    return [json.loads(line) for line in part.read_text().splitlines()]


def commit(destination: Destination, tag: str, rows: int) -> Any:
    writer = destination.open(RUN)
    writer.write(records(tag, rows)[:1])
    writer.write(records(tag, rows)[1:])
    return writer.commit(summary(rows))


class Failing:
    """A destination one of whose steps fails."""

    def __init__(self, destination: Destination, step: str) -> None:
        self._destination = destination
        self._step = step

    def __getattr__(self, name: str) -> Any:
        if name == self._step:
            return self._fail
        if name == "open":
            return lambda run: Failing(self._destination.open(run), self._step)  # type: ignore[arg-type]
        return getattr(self._destination, name)

    def _fail(self, *args: Any) -> None:
        raise DestinationError("The disk is full", hint="Free some space.")


def test_each_record_goes_to_all_and_the_first_describes_the_run(tmp_path: Path) -> None:
    SHELVES.clear()
    shelf = Shelf("s")
    several = SeveralDestinations([FolderDestination(tmp_path / "lake"), shelf])
    output = commit(several, "a", 3)
    assert isinstance(output, SeveralOutput)
    assert (output.summary.rows, output.run) == (3, RUN)
    assert lines(tmp_path / "lake") == SHELVES["s#-1"] == records("a", 3)
    described = several.describe(output)
    assert described.manifest == str(tmp_path / "lake" / "_manifest.json")
    assert [part.path for part in described.further[0].parts] == ["s#-1"]
    assert list(several.read(described.parts[0].path, 1, 1)) == records("a", 3)[1:2]
    assert several.locate_manifest(RUN).path == described.manifest
    manifest = several.read_manifest(described.manifest)
    assert manifest is not None
    assert manifest["rows"] == 3
    assert not several.is_resumable
    assert several.remove_stale({-1: described.manifest}) == 0


def test_a_second_run_of_the_same_id_replaces_everything(tmp_path: Path) -> None:
    for tag, rows in (("a", 5), ("b", 2)):
        commit(folders(tmp_path), tag, rows)
    for n in range(2):
        assert lines(tmp_path / str(n)) == records("b", 2)
        assert list_ours(tmp_path / str(n)) == WHOLE


@pytest.mark.parametrize("step", ["open", "write"])
@pytest.mark.parametrize("at", [0, 1])
def test_before_the_commits_a_failure_leaves_nothing_anywhere(
    tmp_path: Path, step: str, at: int
) -> None:
    places: list[Any] = [FolderDestination(tmp_path / str(n)) for n in range(2)]
    places[at] = Failing(places[at], step) if step == "write" else Broken()
    several = SeveralDestinations(places)
    with pytest.raises(DestinationError, match="The disk is full"):
        attempt(several)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


class Broken:
    def open(self, run: Run) -> None:
        raise DestinationError("The disk is full", where=f"for {run.endpoint}")


def attempt(several: SeveralDestinations) -> None:
    writer = several.open(RUN)
    try:
        writer.write(records("x", 2))
        writer.commit(summary(2))
    except BaseException:
        writer.abort()
        raise


class Refusing:
    """A sink whose ``commit`` fails with an error of its author."""

    def open(self, run: Run) -> Refusing:
        assert run == RUN
        return self

    def write(self, records: Sequence[Any]) -> None:
        pass

    def commit(self, summary: TransferSummary) -> Output:
        raise KeyError(summary.rows)

    def abort(self) -> None:
        pass


def test_an_error_of_an_authors_sink_says_too_that_others_had_committed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    refusing: Any = Refusing()
    plain = [FolderDestination(tmp_path / str(n)) for n in range(3)]
    for others in ([], plain[1:]):
        with pytest.raises(KeyError):
            attempt(SeveralDestinations([plain[0], *others, refusing]))
    assert [record.getMessage() for record in caplog.records] == [
        "A destination did not commit, after others had. Until the next try, 2 destinations have records that the first "
        "of them does not have."
    ]


def test_the_first_destination_commits_last_and_a_retry_replaces_all(tmp_path: Path) -> None:
    plain = [FolderDestination(tmp_path / str(n)) for n in range(3)]
    broken = SeveralDestinations([plain[0], plain[1], Failing(plain[2], "commit")])
    with pytest.raises(DestinationError) as caught:
        attempt(broken)
    assert caught.value.hint == (
        "Free some space. Until the next try, one destination has records that the first of them does not have."
    )
    assert lines(tmp_path / "1") == records("x", 2)
    assert not (tmp_path / "0" / "_manifest.json").exists()  # the run is not proved
    commit(SeveralDestinations(plain), "retry", 3)
    for n in range(3):
        assert lines(tmp_path / str(n)) == records("retry", 3)
        assert list_ours(tmp_path / str(n)) == WHOLE


def test_when_two_attempts_run_at_once_each_place_holds_one_whole_output(tmp_path: Path) -> None:
    one, other = folders(tmp_path).open(RUN), folders(tmp_path).open(RUN)
    one.write(records("one", 3))
    other.write(records("other", 4))
    one.commit(summary(3))
    with pytest.raises(DestinationError, match="Another attempt of the same run committed"):
        other.commit(summary(4))
    other.abort()
    for n in range(2):
        assert lines(tmp_path / str(n)) == records("one", 3)
        assert list_ours(tmp_path / str(n)) == WHOLE


# A pull that is cut off.


def destinations(base: Path) -> list[FileDestination]:
    return [
        FileDestination(path=str(base / "out")),
        FileDestination(path=str(base / "gz"), format="jsonl.gz"),
    ]


def test_a_pull_that_is_cut_off_goes_on_at_all_destinations(tmp_path: Path) -> None:
    pages = {"ann": 3, "bob": 3}
    whole = pull(
        tmp_path / make(tmp_path, "a"),
        PagedApi("page", pages),
        build_endpoint(tmp_path / "a", "page"),
        [*pages],
    )
    api = PagedApi("page", pages, cuts={2, 5})
    base = tmp_path / make(tmp_path, "b")
    endpoint = build_endpoint(base, "page", destination=None, destinations=destinations(base))
    for _ in range(2):
        with pytest.raises(ApiError):
            pull(base, api, endpoint, [*pages])
    found = pull(base, api, endpoint, [*pages])
    assert found.resumed == 2
    assert set(api.asked.values()) == {1}  # no page was asked for twice
    assert read_output(found)[1] == read_output(whole)[1]
    folder = base / "gz" / "run_id=r"
    copied = FolderDestination(folder).read(str(folder / "part-00000.jsonl.gz"), 0, 99)
    assert list(copied) == lines(base / "out" / "run_id=r")
    assert [each.manifest for each in found.further] == [str(folder / "_manifest.json")]
    assert found.datasets == [f"file://{base}/out", f"file://{base}/gz"]
    assert list_ours(folder) == ["_manifest.json", "part-00000.jsonl.gz"]


def make(base: Path, name: str) -> str:
    (base / name).mkdir()
    return name


@pytest.mark.parametrize(
    "damage",
    [
        lambda _, other: (other / "_progress.msgpack").unlink(),
        lambda first, _: (first / "_progress.msgpack").unlink(),
        lambda _, other: commit(FolderDestination(other, "jsonl.gz"), "late", 1),
        lambda _, other: (other / "_progress.msgpack").write_bytes(b"nonsense"),
    ],
)
def test_what_one_destination_lacks_makes_the_pull_start_over(
    tmp_path: Path, damage: Callable[[Path, Path], Any]
) -> None:
    api = PagedApi("page", {"ann": 3}, cuts={2})
    endpoint = build_endpoint(
        tmp_path, "page", destination=None, destinations=destinations(tmp_path)
    )
    with pytest.raises(ApiError):
        pull(tmp_path, api, endpoint, ["ann"])
    damage(tmp_path / "out" / "run_id=r", tmp_path / "gz" / "run_id=r")
    found = pull(tmp_path, api, endpoint, ["ann"])
    assert (found.resumed, found.rows) == (0, 5)
    assert len(lines(tmp_path / "out" / "run_id=r")) == 5
    for name in ("out", "gz"):
        assert len(list_ours(tmp_path / name / "run_id=r")) == 2


def test_progress_of_two_attempts_is_not_mixed(tmp_path: Path) -> None:
    several = folders(tmp_path)
    one, other = several.open(RUN), several.open(RUN)
    for writer, tag in ((one, "one"), (other, "other")):
        writer.write(records(tag, 3))
    one.keep(b"state")
    other._writers[1].keep(b"half")  # type: ignore[attr-defined]
    assert several.find_progress(RUN) is None
    one.keep(b"again")
    found = several.find_progress(RUN)
    assert found is not None
    assert (found.rows, found.state) == (3, b"again")


def test_progress_of_an_endpoint_with_one_destination_counts_as_none(tmp_path: Path) -> None:
    for n in range(2):
        writer = FolderDestination(tmp_path / str(n)).open(RUN)
        writer.write(records("a", 2))
        writer.keep(b"\x00 state of the engine")
        writer.suspend()
    assert folders(tmp_path).find_progress(RUN) is None


def test_after_a_destination_has_committed_nothing_is_kept(tmp_path: Path) -> None:
    places: list[Any] = [Failing(FolderDestination(tmp_path / "0"), "commit")]
    writer = SeveralDestinations([*places, FolderDestination(tmp_path / "1")]).open(RUN)
    writer.write(records("a", 1))
    with pytest.raises(DestinationError, match="full"):
        writer.commit(summary(1))
    with pytest.raises(DestinationError, match="so nothing is kept"):
        writer.keep(b"")
    writer.suspend()
    assert list_ours(tmp_path / "0") == []
    assert list_ours(tmp_path / "1") == WHOLE


# kill -9 at the boundaries of writes, in a real process.

PULL = """
import os, pathlib, signal, sys
from pathlib import Path
from oauth_taskflow.destinations.transfer import TransferSummary
from oauth_taskflow.engine.resume import ResumeOptions
from tests.destinations.test_several import destinations
from tests.engine.cut_off import SEAL, PagedApi, build_endpoint, pull

base, die_at = Path(sys.argv[1]), int(sys.argv[2])
count = 0

def dying(function):
    def step(*args, **kwargs):
        global count
        count += 1
        if count == die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return step

for owner, name in ((os, "fsync"), (pathlib.Path, "replace"), (pathlib.Path, "unlink")):
    setattr(owner, name, dying(getattr(owner, name)))
endpoint = build_endpoint(base, "page", destination=None, destinations=destinations(base))
pull(base, PagedApi("page", {"ann": 3}), endpoint, ["ann"], resume=ResumeOptions(SEAL, keep_every=0.0))
print(count)
"""


def pull_in_a_process(base: Path, die_at: int) -> subprocess.CompletedProcess[str]:
    base.mkdir(exist_ok=True)
    command = [sys.executable, "-c", PULL, str(base), str(die_at)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def check_killed_pull(base: Path, die_at: int) -> None:
    killed = pull_in_a_process(base, die_at)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    first, other = base / "out" / "run_id=r", base / "gz" / "run_id=r"
    if (first / "_manifest.json").exists():
        assert (other / "_manifest.json").exists(), "the authority committed before another"
    api = PagedApi("page", {"ann": 3})
    endpoint = build_endpoint(base, "page", destination=None, destinations=destinations(base))
    found = pull(base, api, endpoint, ["ann"], resume=ResumeOptions(SEAL, keep_every=0.0))
    assert found.rows == 5
    assert [each["id"] for each in lines(first)] == [f"ann-{n}" for n in range(5)]
    copied = FileDestination.connect_for_reading(None, StoreAccess(lambda path, _: Path(path)))
    assert list(copied.read(found.further[0].files[0].path, 0, 99)) == lines(first)
    for folder, suffix in ((first, "jsonl"), (other, "jsonl.gz")):
        names = sorted(path.name for path in folder.iterdir() if is_ours(path.name))
        assert names == ["_manifest.json", f"part-00000.{suffix}"]


@pytest.mark.slow
def test_a_pull_that_is_killed_at_a_write_ends_with_the_same_rows_once(tmp_path: Path) -> None:
    whole = pull_in_a_process(tmp_path / "whole", 0)
    steps = int(whole.stdout)
    assert steps > 8, whole.stderr
    for turn in range(8):
        check_killed_pull(tmp_path / str(turn), 1 + turn * (steps - 1) // 7)


@pytest.mark.full
def test_a_pull_that_is_killed_at_any_write_ends_with_the_same_rows_once(tmp_path: Path) -> None:
    steps = int(pull_in_a_process(tmp_path / "whole", 0).stdout)
    for die_at in range(1, min(steps, 40) + 1):
        check_killed_pull(tmp_path / str(die_at), die_at)


def keep_some(several: SeveralDestinations) -> Progress:
    """The progress of an attempt that was cut off."""
    writer = several.open(RUN)
    writer.write(records("a", 3))
    writer.keep(b"state")
    writer.suspend()
    found = several.find_progress(RUN)
    assert found is not None
    return found


def test_a_store_that_is_away_costs_none_of_what_was_kept(tmp_path: Path) -> None:
    progress = keep_some(folders(tmp_path))
    places: list[Any] = [FolderDestination(tmp_path / "0"), FolderDestination(tmp_path / "1")]
    away = SeveralDestinations([places[0], Failing(places[1], "resume")])
    with pytest.raises(DestinationError, match="The disk is full"):
        away.resume(RUN, progress, 3)
    again = folders(tmp_path)
    assert again.find_progress(RUN) == progress
    writer = again.resume(RUN, progress, 3)
    assert writer is not None
    writer.commit(summary(3))
    for n in range(2):
        assert lines(tmp_path / str(n)) == records("a", 3)
        assert list_ours(tmp_path / str(n)) == WHOLE


def test_a_part_that_one_destination_lost_is_missing_at_all(tmp_path: Path) -> None:
    progress = keep_some(folders(tmp_path))
    (part,) = (path for path in (tmp_path / "1").iterdir() if "part-" in path.name)
    part.unlink()
    assert folders(tmp_path).resume(RUN, progress, 3) is None
    attempt(folders(tmp_path))
    for n in range(2):
        assert list_ours(tmp_path / str(n)) == WHOLE


def test_a_writer_that_cannot_keep_is_dropped_with_the_others(tmp_path: Path) -> None:
    shelf = Shelf("several")
    writer = SeveralDestinations([FolderDestination(tmp_path / "0"), shelf]).open(RUN)
    writer.write(records("a", 1))
    writer.suspend()
    assert list_ours(tmp_path / "0") == []
    assert SHELVES.get("several") is None
