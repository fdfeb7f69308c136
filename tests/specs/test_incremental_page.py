"""The examples of docs/incremental.md are valid endpoints, and its words about them are true."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import indent

import pytest

from oauth_taskflow.date_forms import FORMS, INTEGER
from oauth_taskflow.specs.check import check_text
from oauth_taskflow.specs.instant_formats import NAMED_FORMATS
from oauth_taskflow.specs.windows import Incremental

PAGE = (Path(__file__).parents[2] / "docs" / "incremental.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
HEAD = """
version: 1
dag_id: test
schedule: "@hourly"
start_date: 2024-01-01
connection: crm
defaults: {destination: {path: "/data/{{ endpoint }}"}}
endpoints:
"""
WITHOUT_INTERVALS = """
version: 1
dag_id: test
connection: crm
defaults: {destination: {path: "/data/{{ endpoint }}"}}
"""


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_is_a_valid_endpoint(example: str) -> None:
    # An example either shows endpoints, or what a spec says around them too.
    is_spec = "\nendpoints:\n" in example
    text = WITHOUT_INTERVALS + example if is_spec else HEAD + indent(example, "  ")
    assert list(map(str, check_text(text).problems)) == []


def test_every_form_format_and_option_is_explained() -> None:
    words = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL))
    names = set(re.findall(r"\w+", " ".join(words)))
    assert {*FORMS, INTEGER, *NAMED_FORMATS} - names == set()
    explained = names | set(re.findall(r"(\w+):", " ".join(EXAMPLES)))
    assert {*Incremental.__struct_fields__} - explained == set()
