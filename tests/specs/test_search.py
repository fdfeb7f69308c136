"""The search for the spec of one DAG: its order, and the files that it reads."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.specs import search as search_module
from oauth_taskflow.specs.files import files_by_precedence, list_folders, precedence, sort_files
from oauth_taskflow.specs.search import find_spec
from oauth_taskflow.specs.spec_file import SKIMMED_BYTES, skim_spec
from tests.support.file_modes import without_overrides

TEXT = """\
version: 1
dag_id: {dag_id}
connection: c
endpoints: {{a: {{request: {{path: /a}}, destination: {{path: /data/a}}}}}}
"""
FOLDERS = st.lists(st.sampled_from(["a", "b", "crm"]), max_size=3).map("/".join)
NAMES = st.builds(
    "{}{}".format,
    st.sampled_from(["crm", "crm.b", "x", "y"]),
    st.sampled_from([".yaml", ".yml", ".YAML", ".Yml"]),
)


@given(files=st.lists(st.tuples(FOLDERS, NAMES), max_size=12))
def test_files_come_by_precedence_each_once(
    files: list[tuple[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("specs")
    for folder, name in files:
        (root / folder).mkdir(parents=True, exist_ok=True)
        (root / folder / name).write_text("")
    paths = sorted(
        map(Path, sort_files(list_folders(str(root)))), key=lambda path: precedence(path, "crm")
    )
    folders = list_folders(str(root))
    assert [*files_by_precedence(folders, "crm")] == [str(path) for path in paths]


def test_no_file_is_read_after_the_one_that_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def note(path: str) -> bytes:
        read.append(Path(path).stem)
        return skim_spec(path)

    for number in range(9):
        (tmp_path / f"file_{number}.yaml").write_text(TEXT.format(dag_id=f"dag_{number}"))
    monkeypatch.setattr(search_module, "skim_spec", note)
    assert [spec.source.dag_id for spec in find_spec(tmp_path, "dag_3")[0]] == ["dag_3"]
    assert read == ["file_0", "file_1", "file_2", "file_3"]


def test_a_folder_that_cannot_be_listed_hides_no_other(tmp_path: Path) -> None:
    closed = tmp_path / "a_closed"
    closed.mkdir()
    closed.chmod(0)
    (tmp_path / "other.yaml").write_text(TEXT.format(dag_id="crm"))
    try:
        with without_overrides():
            specs, problems = find_spec(tmp_path, "crm")
    finally:
        closed.chmod(0o700)
    assert ([spec.source.dag_id for spec in specs], problems) == (["crm"], [])


def test_a_file_system_that_hands_over_half_hides_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other.yaml").write_text(TEXT.format(dag_id="crm"))
    monkeypatch.setattr(search_module, "skim_spec", lambda path: skim_spec(path)[:10])
    assert [spec.source.dag_id for spec in find_spec(tmp_path, "crm")[0]] == ["crm"]


def test_a_long_file_a_link_and_a_loop_of_links_are_read_whole(tmp_path: Path) -> None:
    root = tmp_path / "specs"
    root.mkdir()
    (root / "long.yaml").write_text("#" * SKIMMED_BYTES + "\n" + TEXT.format(dag_id="long_dag"))
    (tmp_path / "target").write_text(TEXT.format(dag_id="linked_dag"))
    (root / "link.yaml").symlink_to(tmp_path / "target")
    (root / "loop.yaml").symlink_to("loop.yaml")
    for dag_id in ("long_dag", "linked_dag"):
        assert [spec.source.dag_id for spec in find_spec(root, dag_id)[0]] == [dag_id]


def test_a_named_pipe_among_the_files_does_not_hold_the_search(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    (tmp_path / "other.yaml").write_text(TEXT.format(dag_id="crm"))
    assert [spec.source.dag_id for spec in find_spec(tmp_path, "crm")[0]] == ["crm"]
