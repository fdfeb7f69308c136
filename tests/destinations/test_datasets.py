"""The names that lineage has for the places that records are in."""

from __future__ import annotations

from pathlib import Path

import pytest
from upath import UPath

from oauth_taskflow.destinations.datasets import name_dataset


def test_the_folder_of_a_run_is_named_without_its_partitions(tmp_path: Path) -> None:
    folder = tmp_path / "contacts" / "day=2026-01-01" / "run_id=manual__2026-01-01T00%3A00"
    assert name_dataset(folder) == f"file://{tmp_path}/contacts"
    assert (
        name_dataset(tmp_path / "region=eu" / "contacts")
        == f"file://{tmp_path}/region%3Deu/contacts"
    )


@pytest.mark.parametrize(
    "url", ["memory://lake/crm/contacts", "memory://lake/crm/contacts/run_id=a"]
)
def test_a_url_keeps_scheme_and_path(url: str) -> None:
    assert name_dataset(UPath(url)) in {"memory://lake/crm/contacts", "memory:///lake/crm/contacts"}


def test_a_name_has_neither_connection_nor_secret() -> None:
    class Text:
        def __str__(self) -> str:
            return "s3://aws_lake:geheim@lake/crm/contacts/run_id=x/"

    assert name_dataset(Text()) == "s3://lake/crm/contacts"


def test_a_root_has_no_parts_to_leave_out() -> None:
    assert name_dataset(Path("/run_id=x")) == "file://"
