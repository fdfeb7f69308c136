"""The search for the spec of one DAG: its order, and the files that it reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.specs import search as search_module
from oauth_taskflow.specs.files import files_by_precedence, list_below, precedence
from oauth_taskflow.specs.search import find_spec
from oauth_taskflow.specs.spec_file import read_spec
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
    paths = sorted(map(Path, list_below(str(root))), key=lambda path: precedence(path, "crm"))
    assert [*files_by_precedence(str(root), "crm")] == [str(path) for path in paths]


def test_no_file_is_read_after_the_one_that_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def note(path: str) -> bytes:
        read.append(Path(path).stem)
        return read_spec(path)

    for number in range(9):
        (tmp_path / f"file_{number}.yaml").write_text(TEXT.format(dag_id=f"dag_{number}"))
    monkeypatch.setattr(search_module, "read_spec", note)
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
