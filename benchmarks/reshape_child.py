"""As ``pull_child.py``, with records that every client reshapes: rename, drop, cast and date. Started by ``pull_fields.py``.

The API writes ``created_at`` as 31/01/2025 08:07; each client writes RFC 3339, ``account_id`` instead of ``external_id``, ``id`` as
text, and no ``address``. The figures have a digest of these fields, so that equal work can be seen.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pull_child

FIELDS = """\
    fields:
      move: {external_id: account_id}
      drop: [address]
      cast: {id: text}
      dates: {created_at: "%d/%m/%Y %H:%M"}
"""
TRANSFORMATIONS = [
    {
        "type": "AddFields",
        "fields": [
            {
                "type": "AddedFieldDefinition",
                "path": ["account_id"],
                "value": "{{ record.external_id }}",
            },
            {
                "type": "AddedFieldDefinition",
                "path": ["id"],
                "value": "{{ record.id }}",
                "value_type": "string",
            },
            {
                "type": "AddedFieldDefinition",
                "path": ["created_at"],
                "value": "{{ format_datetime(record.created_at, '%Y-%m-%dT%H:%M:%SZ', '%d/%m/%Y %H:%M') }}",
            },
        ],
    },
    {"type": "RemoveFields", "field_pointers": [["external_id"], ["address"]]},
]
KEPT = ("account_id", "id", "created_at", "address", "external_id")


def reshape(record: dict[str, Any]) -> dict[str, Any]:
    """The same by hand, for clients whose steps are Python functions."""
    record["account_id"] = record.pop("external_id")
    del record["address"]
    record["id"] = str(record["id"])
    moment = datetime.strptime(record["created_at"], "%d/%m/%Y %H:%M").replace(tzinfo=timezone.utc)
    record["created_at"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    return record


def prepare(kind: str, url: str, folder: Path) -> Callable[[], Path]:
    """The client ``kind``, ready to pull and reshape."""
    if kind == "ours":
        return pull_child.ours(url, folder, FIELDS)
    if kind == "airbyte":
        return pull_child.airbyte(url, folder, TRANSFORMATIONS)
    return {"dlt": pull_child.dlt, "hand-written": pull_child.hand_written}[kind](
        url, folder, reshape
    )


def digest_of(path: Path) -> dict[str, Any]:
    """The number of records in a file, or the files of a folder, and a digest of the fields that the steps make."""
    files = sorted(path.glob("**/*.jsonl")) if path.is_dir() else [path]
    found = []
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            row = row.get("record", {}).get("data") if "record" in row else row
            if row and "account_id" in row:
                kept = [row.get(name) for name in KEPT]
                found.append(
                    [str(each).replace("+00:00", "Z") for each in kept]
                )  # as dlt writes UTC
    text = json.dumps(sorted(found))
    return {"rows": len(found), "content": hashlib.sha256(text.encode()).hexdigest()}


if __name__ == "__main__":
    kind, url, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    pull_child.measure(kind, folder, lambda own: prepare(kind, url, own), digest_of)
