"""The examples of docs/contract.md give what the page says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from oauth_taskflow.contracts.inline_schema import TYPES
from oauth_taskflow.contracts.options import Mode
from tests.contracts.test_enforcement import enforce, schema_of

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "contract.md").read_text(encoding="utf-8")
ROW = re.compile(
    r"^\| `(\{.+\})` \| `(\{.*\})` \| `(\{.*\})` \| (?:`(\{.*\})`|left out) \|$", re.MULTILINE
)


@pytest.mark.parametrize(("fields", "record", "by_value", "by_row"), ROW.findall(PAGE))
def test_an_example_gives_what_the_page_says(
    fields: str, record: str, by_value: str, by_row: str
) -> None:
    def written(mode: Mode) -> list[Any]:
        schema = schema_of(**yaml.safe_load(fields))
        return enforce(schema, record, columns=mode, types=mode)[0]

    assert written("discard_value") == [json.loads(by_value)]
    assert written("discard_row") == ([json.loads(by_row)] if by_row else [])


def test_the_page_names_every_type() -> None:
    assert len(ROW.findall(PAGE)) == 11
    assert [name for name in TYPES if f"`{name}`" not in PAGE] == []
