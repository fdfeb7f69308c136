"""The index of which file has which DAG, kept on disk from one task to the next."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.specs import dag_index as index_module
from oauth_taskflow.specs import search as search_module
from oauth_taskflow.specs.dag_index import DagIndex
from oauth_taskflow.specs.files import list_folders
from oauth_taskflow.specs.search import find_spec
from oauth_taskflow.specs.spec_file import SKIMMED_BYTES
from tests.specs.test_cache import write


@pytest.fixture(autouse=True)
def _even_for_few_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "FEW_FILES", 1)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "specs" / "below").mkdir(parents=True)
    write(tmp_path / "specs", "crm")
    write(tmp_path / "specs" / "below", "m", dag_id="billing")
    return tmp_path / "specs"


def index_of(root: Path) -> DagIndex:
    return DagIndex(root.parent / "kept", root)


def find(root: Path, dag_id: str) -> list[str]:
    """The path, below ``root``, of the spec that is found."""
    specs, problems = find_spec(root, dag_id, index_of(root))
    assert problems == []
    return [os.path.relpath(spec.path, root) for spec in specs]


def test_a_dag_that_was_found_is_found_without_listing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert find(root, "billing") == ["below/m.yaml"]
    monkeypatch.setattr(search_module, "list_folders", lambda _: pytest.fail("listed"))
    assert find(root, "billing") == ["below/m.yaml"]


def test_one_dag_does_not_displace_another(root: Path) -> None:
    write(root / "below", "n", dag_id="sales")
    find(root, "billing")
    find(root, "sales")
    paths = [index_of(root).find_paths(dag_id) for dag_id in ("billing", "sales")]
    assert paths == [[str(root / "below" / "m.yaml")], [str(root / "below" / "n.yaml")]]


@pytest.mark.parametrize(
    "text",
    [
        "{version: 1, dag_id: dag_e}",
        'dag_id: dag_d\n"dag_\\x69d": dag_e\n',
        "dag_id: dag_d\ndag_id: dag_e\n",
        "dag_id: dag_d\n" + "#" * SKIMMED_BYTES,
    ],
)
def test_no_dag_is_learned_behind_a_file_that_may_have_it(tmp_path: Path, text: str) -> None:
    root = tmp_path / "specs"
    root.mkdir()
    for name in "aceg":
        write(root, name, dag_id=f"dag_{name}")
    (root / "d.yaml").write_text(text)
    assert find(root, "dag_g") == ["g.yaml"]
    learned = [index_of(root).find_paths(f"dag_{name}") for name in "acdeg"]
    assert learned == [[f"{root}/{n}.yaml"] if n else [] for n in ("a", "c", "", "", "g")]


_PLACES = st.tuples(st.sampled_from(["", "below/", "below/deep/"]), st.sampled_from("abcdefgh"))


@given(
    dags=st.dictionaries(_PLACES, st.sampled_from("cdexyz"), min_size=1),
    wanted=st.sampled_from("cdexyz"),
)
def test_each_dag_that_was_learned_on_the_way_is_the_one_that_a_search_finds(
    dags: dict[tuple[str, str], str], wanted: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("specs") / "specs"
    for (folder, name), dag_id in dags.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        write(root / folder, name, dag_id=dag_id)
    find_spec(root, wanted, index_of(root))
    for dag_id in sorted(set(dags.values())):
        (spec,), _ = find_spec(root, dag_id)
        assert index_of(root).find_paths(dag_id) in ([], [str(spec.path)])


@pytest.mark.parametrize("folder", [".", "below"])
def test_a_new_file_that_goes_first_is_found(root: Path, folder: str) -> None:
    find(root, "billing")
    write(root / folder, "a", dag_id="billing")
    assert find(root, "billing") == [os.path.normpath(f"{folder}/a.yaml")]


def test_a_file_that_was_changed_moved_or_removed_leads_nowhere_wrong(root: Path) -> None:
    find(root, "billing")
    write(root / "below", "m", dag_id="sales")
    assert (find(root, "billing"), find(root, "sales")) == ([], ["below/m.yaml"])
    (root / "below" / "m.yaml").rename(root / "moved.yaml")
    assert find(root, "sales") == ["moved.yaml"]
    (root / "moved.yaml").unlink()
    assert find(root, "sales") == []


def test_an_error_in_the_file_of_the_index_is_reported_once(root: Path) -> None:
    find(root, "billing")
    with (root / "below" / "m.yaml").open("a") as file:
        file.write("unknown: 1\n")
    specs, problems = find_spec(root, "billing", index_of(root))
    assert (specs, len(problems)) == ([], 1)


def test_a_folder_behind_a_link_counts(root: Path) -> None:
    shutil.move(root / "below", root.parent / "elsewhere")
    (root / "below").symlink_to(root.parent / "elsewhere")
    assert find(root, "billing") == ["below/m.yaml"]
    write(root.parent / "elsewhere", "a", dag_id="billing")
    assert find(root, "billing") == ["below/a.yaml"]


@given(content=st.binary(max_size=100))
def test_whatever_the_index_holds_the_dag_is_found(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("specs")
    write(root, "m", dag_id="billing")
    find(root, "billing")
    for path in (root.parent / "kept").iterdir():
        path.write_bytes(content)
    assert find(root, "billing") == ["m.yaml"]


def test_an_index_names_no_file_outside_the_folder(root: Path) -> None:
    find(root, "billing")
    write(root.parent, "outside")
    (path,) = (root.parent / "kept").iterdir()
    path.write_bytes(msgspec.msgpack.encode([{}, {"outside": ["../outside.yaml"]}]))
    assert index_of(root).find_paths("outside") == []


def test_an_index_that_others_may_touch_is_ignored(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find(root, "billing")
    (path,) = (root.parent / "kept").iterdir()
    assert (path.parent.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)
    path.chmod(0o644)
    assert index_of(root).find_paths("billing") == []
    path.chmod(0o600)
    another = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: another)
    assert index_of(root).find_paths("billing") == []


def test_where_no_index_can_be_kept_the_search_works_without(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (root.parent / "kept").write_text("a file where the folder should be")
    with caplog.at_level(logging.INFO):
        assert [find(root, "billing") for _ in range(2)] == [["below/m.yaml"]] * 2
    assert caplog.text == ""


def test_few_files_are_read_without_an_index(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "FEW_FILES", 100)
    find(root, "billing")
    index_of(root).save([("billing", str(root / "below" / "m.yaml"))], list_folders(str(root)))
    assert not (root.parent / "kept").exists()


def test_the_indexes_of_old_releases_are_removed(root: Path) -> None:
    for number in range(25):
        release = root.parent / f"release_{number}"
        shutil.copytree(root, release)
        find(release, "billing")
        (root.parent / f"release_{number}").rename(root.parent / f"gone_{number}")
    assert len(list((root.parent / "kept").iterdir())) == index_module._MOST_INDEXES
