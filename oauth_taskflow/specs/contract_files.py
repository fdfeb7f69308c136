"""Schema files of contracts, next to the specs that name them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from oauth_taskflow.contracts.options import Contract, GivenSchema
from oauth_taskflow.specs.model import Endpoint

_LONGEST = 4 << 20  # bytes


class SchemaUnreadable(ValueError):
    """A schema file cannot be read; the text says why."""


def read_schema_file(spec_path: str, name: str) -> dict[str, Any]:
    """Returns the JSON document in the file ``name``, which is relative to the spec at ``spec_path``.

    Raises:
        SchemaUnreadable: it is missing, too large, not JSON or not a mapping.
    """
    path = Path(spec_path).parent / name
    try:
        if path.stat().st_size > _LONGEST:
            raise SchemaUnreadable(f"the file {name} has more than 4 MiB")
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SchemaUnreadable(f"the file {name} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, SchemaUnreadable):
            raise
        raise SchemaUnreadable(f"the file {name} is not JSON: {error}"[:300]) from error
    if not isinstance(document, dict):
        raise SchemaUnreadable(f"the file {name} holds no mapping")
    return document


def with_schema_read(endpoint: Endpoint, spec_path: str) -> Endpoint:
    """Returns ``endpoint`` with the schema of its file in place of the file: workers may not see the same folders.

    Raises:
        SchemaUnreadable: it cannot be read.
    """
    contract = endpoint.contract
    if (
        not isinstance(contract, Contract)
        or contract.schema is None
        or contract.schema.file is None
    ):
        return endpoint
    given = GivenSchema(json_schema=read_schema_file(spec_path, contract.schema.file))
    return replace(endpoint, contract=replace(contract, schema=given))
