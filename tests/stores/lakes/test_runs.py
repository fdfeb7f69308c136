"""Tables of lakes on a server of S3, by Airflow's connections: runs, attempts, and a store that is away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

pytest.importorskip(
    "s3fs", reason="object stores are tested in .venv-services (scripts/test-services)"
)
pytest.importorskip("deltalake")

from oauth_taskflow.destinations.base import Destination, Run, StoreAccess
from oauth_taskflow.destinations.tables.delta_options import DeltaDestination
from oauth_taskflow.destinations.tables.iceberg_options import IcebergDestination
from oauth_taskflow.errors import DestinationError
from oauth_taskflow.taskflow.dags.storage import store_access
from tests.destinations.contract import render
from tests.tables.kinds import summary_of
from tests.taskflow.conftest import SetConnection

pytestmark = pytest.mark.airflow


@pytest.fixture(params=["delta-s3", "iceberg-s3"])
def options(
    request: pytest.FixtureRequest, servers: None, tmp_path: Path, set_connection: SetConnection
) -> Any:
    """A table of this test alone."""
    kind, scheme = request.param.split("-")
    place = f"{scheme}://lake/{tmp_path.name}"
    if kind == "delta":
        return DeltaDestination(path=f"{place}/{{{{ endpoint }}}}", conn_id=scheme)
    catalog = {"type": "sql", "uri": f"sqlite:///{tmp_path / 'catalog.db'}"}
    set_connection("catalog", {"conn_type": "generic", "extra": catalog})
    return IcebergDestination(
        table="crm.{{ endpoint }}", warehouse=place, conn_id=scheme, catalog_conn_id="catalog"
    )


def connect(options: Any, run_id: str, access: StoreAccess | None = None) -> Destination:
    found: Destination = options.connect(options.locate(render, run_id), access or store_access())
    return found


def put(options: Any, run_id: str, *ids: int) -> Any:
    destination = connect(options, run_id)
    writer = destination.open(Run("contacts", run_id))
    writer.write([msgspec.Raw(b'{"id":%d}' % number) for number in ids])
    return destination.describe(writer.commit(summary_of(len(ids))))


def read(options: Any, described: Any) -> Iterator[int]:
    for part in described.parts:
        reader = type(options).connect_for_reading(described.conn_id, store_access())
        for record in reader.read(part.path, 0, part.rows, selector=part.selector):
            yield record["id"]


def test_runs_replace_their_own_rows(options: Any) -> None:
    first, second = put(options, "r1", 1, 2), put(options, "r2", 3)
    assert sorted(read(options, first)) == [1, 2]
    again = put(options, "r1", 9)
    assert list(read(options, again)) == [9]
    assert list(read(options, second)) == [3]
    assert "any" not in again.parts[0].path  # the key of the store
    manifest = connect(options, "r2").read_manifest(second.manifest)
    assert manifest is not None
    assert manifest["run_id"] == "r2"


def test_of_two_attempts_at_once_one_counts(options: Any) -> None:
    put(options, "r0", 0)
    destination = connect(options, "r1")
    first, second = (destination.open(Run("contacts", "r1")) for _ in range(2))
    first.write([{"id": 1}])
    second.write([{"id": 2}])
    described = destination.describe(first.commit(summary_of(1)))
    with pytest.raises(DestinationError, match="Another attempt"):
        second.commit(summary_of(1))
    second.abort()
    assert list(read(options, described)) == [1]


def test_a_store_that_is_away_is_one_clear_error(
    options: Any, set_connection: SetConnection
) -> None:
    away = {"endpoint_url": "http://127.0.0.1:1", "region_name": "us-east-1"}
    connection = {"conn_type": "aws", "login": "any", "password": "s3cretkey9", "extra": away}
    set_connection("away", connection)
    lost = msgspec.structs.replace(options, conn_id="away")
    began = time.monotonic()
    with pytest.raises(DestinationError) as caught:
        put(lost, "r1", 1)
    assert time.monotonic() - began < 120
    assert "s3cretkey9" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
