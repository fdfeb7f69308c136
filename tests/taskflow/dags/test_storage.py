"""Where destination paths lead."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import attach
from upath import UPath

from oauth_taskflow.errors import DestinationError
from oauth_taskflow.taskflow.dags.storage import airflow_home, open_path


def test_relative_paths_are_below_airflow_home() -> None:
    assert open_path("lake/contacts") == airflow_home() / "lake" / "contacts"


@pytest.mark.parametrize("path", ["/lake/contacts", "file:///lake/contacts"])
def test_absolute_paths_and_file_urls_are_local(path: str) -> None:
    assert open_path(path) == Path("/lake/contacts")


def test_a_home_folder_is_expanded() -> None:
    assert open_path("~/lake") == Path.home() / "lake"


@pytest.mark.parametrize(
    ("scheme", "reason"),
    [
        ("gopher", "Unsupported filesystem: 'gopher'"),
        ("hdfs", "No filesystem registered for scheme hdfs"),
    ],
)
def test_an_unknown_scheme_names_the_package_to_install(scheme: str, reason: str) -> None:
    with pytest.raises(DestinationError) as caught:
        open_path(f"{scheme}://lake/contacts")
    assert str(caught.value) == (
        f"{scheme}:// paths cannot be opened (ValueError: {reason}) at {scheme}://lake/contacts. Install the store's "
        "Airflow provider with its file system, such as apache-airflow-providers-google for gs://. "
        "Tested are s3:// and abfs:// (docs/destinations.md)."
    )


@pytest.mark.skipif(find_spec("s3fs") is not None, reason="the extras are installed")
@pytest.mark.parametrize(("scheme", "extra"), [("s3", "s3"), ("abfs", "azure")])
def test_a_missing_extra_is_named(scheme: str, extra: str) -> None:
    with pytest.raises(DestinationError) as caught:
        open_path(f"{scheme}://lake/contacts", "any")
    assert str(caught.value).endswith(
        f"Install it on every worker: pip install 'oauth-taskflow[{extra}]'."
    )


def test_urls_are_opened_by_airflow() -> None:
    attach(protocol="memory", fs=UPath("memory://storage-test").fs)
    path = open_path("memory://storage-test/contacts")
    assert isinstance(path, ObjectStoragePath)
    assert str(path) == "memory://storage-test/contacts"
    path.mkdir(parents=True)
    (path / "a").write_bytes(b"x")
    assert [child.name for child in path.iterdir()] == ["a"]
