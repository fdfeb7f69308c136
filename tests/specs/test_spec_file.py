"""Other kinds of files are refused at once; the check never waits for a writer of a named pipe."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from oauth_taskflow.specs.check import check_file, check_paths
from oauth_taskflow.specs.dag_files import find_skipped_files
from oauth_taskflow.specs.spec_file import MAX_BYTES, read_spec
from tests.support.file_modes import without_overrides


def message(path: Path | str) -> str:
    (problem,) = check_file(path).problems
    assert problem.rule == "unreadable-file"
    return problem.message


def test_a_named_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    (checked,) = check_paths([tmp_path])
    assert [problem.message for problem in checked.problems] == [
        "cannot be read: it is a named pipe, not a plain file"
    ]


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("a.yaml")
        assert message("a.yaml") == "cannot be read: it is a socket, not a plain file"


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_refused(device: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to(device)
    assert message(tmp_path / "a.yaml") == "cannot be read: it is a device, not a plain file"


def test_a_folder_with_the_name_of_a_spec_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").mkdir()
    assert check_paths([tmp_path]) == []
    assert message(tmp_path / "a.yaml") == "cannot be read: it is a folder, not a plain file"


def test_a_link_to_nothing_and_a_link_to_itself_are_problems(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to(tmp_path / "none")
    (tmp_path / "b.yaml").symlink_to(tmp_path / "b.yaml")
    found = [checked.problems[0].message for checked in check_paths([tmp_path])]
    assert found[0] == "cannot be read: No such file or directory"
    assert found[1].startswith("cannot be read: Too many levels of symbolic links")


def test_a_file_bigger_than_any_spec_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.touch()
    os.truncate(file, 1 << 40)
    assert message(file) == "cannot be read: it is bigger than 1 MiB, which no spec is"
    file.write_bytes(b"#" * MAX_BYTES)
    assert check_file(file).problems[0].message == "the file is empty"


def test_a_file_name_with_a_null_byte_is_a_problem() -> None:
    assert message("a\0.yaml") == "cannot be read: embedded null byte"


def test_a_file_that_is_longer_than_its_size_is_read_to_its_end() -> None:
    whole = Path("/proc/self/mountinfo")
    assert whole.stat().st_size == 0
    assert read_spec(str(whole)) == whole.read_bytes()


def test_a_closed_dag_file_hides_no_other_that_airflow_skips(tmp_path: Path) -> None:
    (tmp_path / "a.py").touch(mode=0)
    (tmp_path / "b.py").write_text("load_specs(__file__)\n")
    with without_overrides():
        (found,) = find_skipped_files([tmp_path])
    assert found.path == str(tmp_path / "b.py")


def test_a_closed_file_is_a_problem(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.touch(mode=0)
    with without_overrides():
        found = message(file)
    assert found == "cannot be read: Permission denied"
