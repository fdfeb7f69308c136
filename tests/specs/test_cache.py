"""Checked specs that are kept on disk."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.specs import cache as cache_module
from oauth_taskflow.specs import check as check_module
from oauth_taskflow.specs.cache import SpecCache
from oauth_taskflow.specs.check import CheckedSpec, check_paths
from oauth_taskflow.specs.model import Spec
from oauth_taskflow.specs.problem import Finding
from oauth_taskflow.specs.rules import files_findings
from oauth_taskflow.specs.rules.registry import Rule, SpecView

VALID = sorted((Path(__file__).parent / "valid").glob("*.yaml"))
TEXT = """\
version: 1
dag_id: {name}
connection: c
endpoints:
  a: {{request: {{path: /a}}, destination: {{path: "/data/{folder}/a"}}}}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "specs"
    folder.mkdir()
    for name in ("crm", "erp"):
        write(folder, name)
    return folder


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were parsed."""
    names: list[str] = []
    real = check_module.check_text

    def count(text: str, path: str = "") -> CheckedSpec:
        names.append(Path(path).stem)
        return real(text, path)

    monkeypatch.setattr(check_module, "check_text", count)
    return names


def write(folder: Path, name: str, *, dag_id: str = "", to: str = "") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(TEXT.format(name=dag_id or name, folder=to or name))
    return path


def check(root: Path, folder: Path | None = None) -> list[CheckedSpec]:
    cache = SpecCache(folder or root.parent / "cache", root)
    cache.load()
    checked = check_paths([root], cache)
    cache.save()
    return checked


def test_files_that_have_not_changed_are_not_parsed_again(root: Path, parsed: list[str]) -> None:
    first = check(root)
    assert sorted(parsed) == ["crm", "erp"]
    parsed.clear()
    assert [each.spec for each in check(root)] == [each.spec for each in first]
    assert parsed == []


def test_only_the_file_that_changed_is_parsed_again(root: Path, parsed: list[str]) -> None:
    check(root)
    parsed.clear()
    write(root, "erp", to="elsewhere")
    write(root, "new")
    specs = {each.spec.source.dag_id: each.spec for each in check(root) if each.spec}
    assert sorted(parsed) == ["erp", "new"]
    assert sorted(specs) == ["crm", "erp", "new"]
    destination = specs["erp"].endpoints["a"].destination
    assert destination is not None
    assert str(destination.address).endswith("/data/elsewhere/a")


def test_a_file_that_changed_without_a_trace_is_parsed_again(root: Path, parsed: list[str]) -> None:
    path = write(root, "erp", to="aaaa")
    check(root)
    before = path.stat()
    write(root, "erp", to="bbbb")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    assert (after.st_size, after.st_mtime_ns, after.st_ino) == (
        *(before.st_size, before.st_mtime_ns, before.st_ino),
    )
    parsed.clear()
    assert all(each.spec for each in check(root))
    assert parsed == ["erp"]


def test_texts_are_made_once_and_kept_with_the_spec(root: Path) -> None:
    made: list[str] = []

    def describe(spec: Spec) -> dict[str, str]:
        made.append(spec.source.dag_id)
        return {"a": f"about {spec.source.dag_id}"}

    for _ in range(2):
        cache = SpecCache(root.parent / "cache", root, describe)
        cache.load()
        check_paths([root], cache)
        cache.save()
        assert cache.find_texts(str(root / "crm.yaml")) == {"a": "about crm"}
        assert cache.find_texts(str(root / "missing.yaml")) == {}
    assert sorted(made) == ["crm", "erp"]


def test_every_valid_spec_comes_back_as_it_was(tmp_path: Path) -> None:
    root = tmp_path / "specs"
    root.mkdir()
    for path in VALID:
        (root / path.name).write_bytes(path.read_bytes())
    without = {each.path: each for each in check_paths([root])}
    check(root)
    cached = check(root)
    assert len([each for each in cached if each.spec]) > 20
    for each in cached:
        assert each.spec == without[each.path].spec
        errors = [problem for problem in without[each.path].problems if problem.is_error]
        assert [problem for problem in each.problems if problem.is_error] == errors


def test_problems_are_found_again_each_time(root: Path) -> None:
    (root / "bad.yaml").write_text("version: 1\ndag_id: bad\n")
    (root / "broken.yaml").write_text("a: [\n")
    assert [each.problems for each in check(root)] == [each.problems for each in check(root)]
    assert sum(each.spec is None for each in check(root)) == 2


def test_collisions_with_files_from_the_cache_are_reported(root: Path, parsed: list[str]) -> None:
    check(root)
    write(root, "twin", dag_id="crm")
    write(root, "zoo", to="erp")
    check(root)
    parsed.clear()
    problems = {Path(each.path).stem: each.problems for each in check(root) if each.problems}
    assert parsed == []
    assert problems["twin"][0].rule == "duplicate-dag-id"
    assert (problems["zoo"][0].rule, problems["zoo"][0].line) == ("destination-collision", 5)


def test_files_are_compared_again_when_one_of_them_has_changed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[int] = []

    def count(views: Sequence[SpecView]) -> Iterator[tuple[SpecView, Rule, Finding]]:
        compared.append(len(views))
        return files_findings(views)

    monkeypatch.setattr(check_module, "files_findings", count)
    check(root)
    check(root)
    assert compared == [2]
    path = write(root, "new", to="erp")
    check(root)
    assert [p.rule for each in check(root) for p in each.problems] == ["destination-collision"]
    assert compared == [2, 3, 3]
    path.unlink()
    check(root)
    check(root)
    assert compared == [2, 3, 3, 2]
    (root / "broken.yaml").write_text("a: [\n")
    check(root)
    check(root)
    assert compared == [2, 3, 3, 2, 2, 2]


@pytest.mark.parametrize("what", ["day", "package", "python", "code"])
def test_another_day_and_another_release_check_again(
    what: str, root: Path, parsed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    check(root)
    parsed.clear()
    before = cache_module._fingerprint()
    if what == "day":
        assert cache_module._fingerprint_of("2001-01-01") != before
    else:
        if what == "package":
            monkeypatch.setattr(cache_module, "_version", lambda name: f"{name} 99")
        elif what == "python":
            monkeypatch.setattr(sys, "version", "3.99")
        else:
            monkeypatch.setattr(cache_module, "_stamp", lambda file: (len(file.name), 0))
        cache_module._fingerprint_of.cache_clear()
        assert cache_module._fingerprint() != before
    monkeypatch.setattr(cache_module, "_fingerprint", lambda: "another")
    check(root)
    assert sorted(parsed) == ["crm", "erp"]
    cache_module._fingerprint_of.cache_clear()


def test_files_and_folder_are_for_this_user_only(root: Path) -> None:
    check(root)
    folder = root.parent / "cache"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert sorted(path.suffix for path in folder.iterdir()) == [".specs"]


@pytest.mark.parametrize("mode", [0o644, 0o620, 0o602])
def test_a_file_that_others_may_touch_is_ignored(mode: int, root: Path, parsed: list[str]) -> None:
    check(root)
    for path in (root.parent / "cache").iterdir():
        path.chmod(mode)
    parsed.clear()
    cache = SpecCache(root.parent / "cache", root)
    cache.load()
    check_paths([root], cache)
    assert len(parsed) == 2


def test_files_of_another_user_are_ignored(
    root: Path, parsed: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    check(root)
    parsed.clear()
    another = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: another)
    assert all(each.spec for each in check(root))
    assert len(parsed) == 2
    assert "the folder is another user's" in caplog.text


def test_a_folder_that_is_read_only_is_read(
    root: Path, parsed: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    check(root)
    parsed.clear()

    def refuse(**_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    # As root a test can write to every folder.
    monkeypatch.setattr(tempfile, "mkstemp", refuse)
    assert all(each.spec for each in check(root))
    assert (parsed, caplog.text) == ([], "")
    write(root, "new")
    assert all(each.spec for each in check(root))
    assert parsed == ["new"]
    assert "Read-only file system" in caplog.text


def test_a_folder_that_others_may_write_to_is_not_used(
    root: Path, parsed: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    folder = root.parent / "open"
    folder.mkdir()
    folder.chmod(0o777)
    assert all(each.spec for each in check(root, folder))
    assert list(folder.iterdir()) == []
    assert "others may use it (chmod 700)" in caplog.text


def test_a_link_in_place_of_a_file_is_not_followed(root: Path, parsed: list[str]) -> None:
    check(root)
    folder = root.parent / "cache"
    for path in list(folder.iterdir()):
        path.rename(root.parent / path.name)
        path.symlink_to(root.parent / path.name)
    parsed.clear()
    check(root)
    assert len(parsed) == 2
    assert not any(path.is_symlink() for path in folder.iterdir())


@given(content=st.binary(max_size=200))
def test_whatever_the_files_hold_the_specs_are_right(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("specs")
    write(root, "crm")
    folder = tmp_path_factory.mktemp("cache")
    check(root, folder)
    for path in folder.iterdir():
        path.write_bytes(content)
    assert [each.spec is not None for each in check(root, folder)] == [True]


def test_a_spec_of_another_shape_in_the_cache_is_checked_again(
    root: Path, parsed: list[str]
) -> None:
    check(root)
    (path,) = (root.parent / "cache").glob("*.specs")
    specs = msgspec.msgpack.decode(path.read_bytes(), type=cache_module._Specs)
    entries = {
        name: cache_module._Entry(
            entry.digest, memoryview(msgspec.msgpack.encode({"version": 1})), {}
        )
        for name, entry in specs.entries.items()
    }
    path.write_bytes(msgspec.msgpack.encode(cache_module._Specs(specs.made_by, True, entries)))
    parsed.clear()
    assert all(each.spec for each in check(root))
    assert len(parsed) == 2


def test_an_installation_that_changes_meanwhile_still_has_a_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere")
    monkeypatch.setattr(cache_module, "__file__", str(tmp_path / "specs/cache.py"))
    monkeypatch.setattr(cache_module, "_LIBRARIES", ("a-library-without-metadata",))
    before, _ = cache_module._fingerprint_of("a day"), (tmp_path / "nowhere").write_text("")
    cache_module._fingerprint_of.cache_clear()
    assert cache_module._fingerprint_of("a day") != before
    cache_module._fingerprint_of.cache_clear()


def test_a_cache_that_cannot_be_written_changes_nothing(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (root.parent / "file").write_text("")
    assert all(each.spec for each in check(root, root.parent / "file" / "cache"))
    assert "Checked specs are not kept in" in caplog.text


def test_a_full_disk_leaves_no_file_behind(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    assert all(each.spec for each in check(root))
    assert list((root.parent / "cache").iterdir()) == []
    assert "No space left on device" in caplog.text


@pytest.mark.slow
def test_processes_at_once_leave_a_whole_cache(root: Path, parsed: list[str]) -> None:
    for number in range(40):
        write(root, f"s{number}")
    code = (
        "import sys; from pathlib import Path; from tests.specs.test_cache import check\n"
        "for _ in range(5): assert all(each.spec for each in check(Path(sys.argv[1])))"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(root)]) for _ in range(4)]
    assert [process.wait(500) for process in running] == [0] * 4
    assert all(each.spec for each in check(root))
    assert parsed == []
    assert len(list((root.parent / "cache").iterdir())) == 1


def test_what_a_killed_process_left_of_a_write_goes(root: Path) -> None:
    check(root)
    folder = root.parent / "cache"
    (kept,) = folder.iterdir()
    old, new, other = (folder / f".{name}.x" for name in (kept.name, f"{kept.name}.y", "other"))
    for path in (old, new, other):
        path.write_text("")
    os.utime(old, (0, 0))
    os.utime(other, (0, 0))
    write(root, "new")
    check(root)
    assert set(folder.iterdir()) == {kept, new, other}
