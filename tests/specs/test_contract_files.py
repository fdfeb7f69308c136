"""Schema files of contracts: what is said when one cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from oauth_taskflow.specs.check import check_paths
from oauth_taskflow.specs.contract_files import SchemaUnreadable, read_schema_file

SPEC = """\
version: 1
dag_id: contracts
connection: crm
endpoints:
  contacts:
    request: {path: /contacts}
    contract: {schema: {file: contacts.json}}
    destination: {path: "/data/contacts"}
"""
FLAWS = {
    "cannot be read: No such file": None,
    "is not JSON": "{",
    "is not JSON: maximum recursion": "[" * 100_000,
    "holds no mapping": "[1]",
    "has more than 4 MiB": " " * (5 << 20),
}


@pytest.mark.parametrize(("message", "content"), FLAWS.items(), ids=FLAWS)
def test_a_schema_file_that_cannot_be_used_is_named(
    tmp_path: Path, message: str, content: str | None
) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC)
    if content is not None:
        (tmp_path / "contacts.json").write_text(content)
    with pytest.raises(SchemaUnreadable, match=f"the file contacts.json {message}"):
        read_schema_file(str(spec), "contacts.json")
    (checked,) = check_paths([str(spec)])
    assert [(problem.rule, problem.line) for problem in checked.problems] == [
        ("contract-schema", 7)
    ]
    assert message.partition(":")[0] in checked.problems[0].message


def test_a_schema_file_is_a_mapping_in_json(tmp_path: Path) -> None:
    (tmp_path / "contacts.json").write_text('{"type": "object"}')
    assert read_schema_file(str(tmp_path / "spec.yaml"), "contacts.json") == {"type": "object"}
