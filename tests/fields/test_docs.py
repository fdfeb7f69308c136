"""The examples of docs/fields.md give what the page says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from oauth_taskflow.fields.options import Fields
from tests.fields.reshape import reshape

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "fields.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(
    r"^\*\*(\w+)\*\* `(.+?)`(?: or `.+`)?\n\n```text\n(\{.+?\})\s+→\s+(\{.+\})\n```", re.MULTILINE
)
ORDER = re.compile(r"\d+  (\w+) ")


@pytest.mark.parametrize(("step", "options", "before", "after"), EXAMPLE.findall(PAGE))
def test_an_example_gives_what_the_page_says(
    step: str, options: str, before: str, after: str
) -> None:
    written: dict[str, Any] = yaml.safe_load(options)
    assert list(written) == [step]
    assert reshape(before, **written) == json.loads(after)


def test_the_page_has_every_step_in_the_order_of_the_format() -> None:
    steps = [name for name in Fields.__struct_fields__ if name != "on_error"]
    assert ORDER.findall(PAGE) == steps
    assert re.findall(r"^\*\*(\w+)\*\*", PAGE, re.MULTILINE) == steps
    # A template or a secret makes the result of these two differ from run to run.
    assert [step for step, *_ in EXAMPLE.findall(PAGE)] == [
        s for s in steps if s not in {"set", "hash"}
    ]
