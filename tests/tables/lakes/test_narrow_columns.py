"""A Delta table that another tool made has columns of small numbers, which its library would round into, or of maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

pytest.importorskip(
    "deltalake", reason="lakes are tested in .venv-services (scripts/test-services)"
)

from deltalake import DeltaTable, write_deltalake

from oauth_taskflow.destinations.base import EndpointFacts
from oauth_taskflow.errors import DestinationError
from tests.tables.kinds import KINDS, TECHNICAL, connect, put, read_rows

DELTA = next(kind for kind in KINDS if kind.name == "delta")
NARROW = {
    "float": (pa.float32(), 0.5, 0.1),
    "int": (pa.int32(), -(2**31), 2**31),
    "list of short": (pa.list_(pa.int16()), [32767], [1, 32768]),
    "list": (pa.list_(pa.float32()), [0.5, None], [0.5, 0.1]),
    "struct": (pa.struct([pa.field("a", pa.float32())]), {"a": 0.5}, {"a": 0.1}),
}


def create_table(folder: Path, narrow: pa.DataType) -> None:
    own = [pa.field(name, pa.string()) for name in TECHNICAL[:3]]
    columns = [*own, pa.field(TECHNICAL[3], pa.int64()), pa.field("id", pa.int64())]
    schema = pa.schema([*columns, pa.field("v", narrow)])
    write_deltalake(str(folder / "contacts"), schema.empty_table())


@pytest.mark.parametrize("mode", ["replace_run", "merge"])
@pytest.mark.parametrize("case", NARROW)
def test_a_value_that_a_narrow_column_would_round_fails_and_writes_nothing(
    tmp_path: Path, case: str, mode: str
) -> None:
    narrow, kept, rounded = NARROW[case]
    facts = EndpointFacts(primary_key=("id",))
    options: dict[str, Any] = {"mode": mode, "facts": facts}
    create_table(tmp_path, narrow)
    put(DELTA, tmp_path, [{"id": 1, "v": kept}, {"id": 2}], "r1", **options)
    with pytest.raises(DestinationError, match=r"^Column 'v' of the table has small numbers"):
        put(DELTA, tmp_path, [{"id": 3, "v": rounded}], "r2", **options)
    assert read_rows(DELTA, tmp_path, "id", "v") == [(1, kept), (2, None)]
    assert DeltaTable(str(tmp_path / "contacts")).schema().to_arrow().field("v").type == narrow


MAP = pa.map_(pa.string(), pa.int64())
MAPS = {
    "map": (MAP, [("a", 1)]),
    "list": (pa.list_(MAP), [[("a", 1)]]),
    "struct": (pa.struct([pa.field("m", MAP)]), {"m": [("a", 1)]}),
}


@pytest.mark.parametrize("mode", ["replace_run", "merge"])
@pytest.mark.parametrize("case", MAPS)
def test_a_column_of_maps_stays_null_and_takes_no_value(
    tmp_path: Path, case: str, mode: str
) -> None:
    kind, value = MAPS[case]
    options: dict[str, Any] = {"mode": mode, "facts": EndpointFacts(primary_key=("id",))}
    create_table(tmp_path, kind)
    path = str(tmp_path / "contacts")
    schema = pa.schema([pa.field("id", pa.int64()), pa.field("v", kind)])
    theirs = pa.Table.from_pylist([{"id": 0, "v": value}], schema)
    write_deltalake(path, theirs, mode="append", schema_mode="merge")
    part = put(DELTA, tmp_path, [{"id": 1, "v": None, "new": 1}], "r1", **options).parts[0]
    put(DELTA, tmp_path, [], "r2", **options)
    with pytest.raises(DestinationError, match=r"^Column 'v' of the table has maps"):
        put(DELTA, tmp_path, [{"id": 2, "v": {"m": {"a": 1}}}], "r3", **options)
    assert read_rows(DELTA, tmp_path, "id", "v") == [(0, value), (1, None)]
    reader = connect(DELTA, tmp_path, "r1", **options)
    assert list(reader.read(part.path, 0, 1, selector=part.selector)) == [
        {"id": 1, "v": None, "new": 1}
    ]
