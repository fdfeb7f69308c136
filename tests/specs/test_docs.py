from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from oauth_taskflow.specs.json_schema import spec_schema
from oauth_taskflow.specs.rules import all_rules
from oauth_taskflow.specs.schema_errors import SCHEMA_RULES
from oauth_taskflow.specs.template_names import RUN_NAMES

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = (ROOT / "docs" / "spec-reference.md").read_text(encoding="utf-8")
MANUAL = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")


def test_the_committed_pages_and_schema_are_the_generated_ones() -> None:
    script = ROOT / "scripts" / "generate_docs.py"
    done = subprocess.run(
        [sys.executable, script, "--check"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: f"{rule.id}-{rule.module[-8:]}")
def test_every_rule_has_a_page_with_a_bad_and_a_good_snippet(rule: Any) -> None:
    assert "\n\nBad: " in rule.manual
    assert "\n\nGood: " in rule.manual
    assert f"### {rule.id}\n" in MANUAL


def test_one_rule_id_has_one_level_and_one_purpose() -> None:
    levels = {(rule.id, rule.level) for rule in all_rules()}
    assert len(levels) == len({rule.id for rule in all_rules()})


def test_every_schema_rule_is_in_the_manual() -> None:
    assert [rule for rule in SCHEMA_RULES if f"**{rule}**" not in MANUAL] == []


def test_every_key_and_every_template_name_is_in_the_reference() -> None:
    schema = spec_schema()
    tables = [schema, *schema["$defs"].values()]
    keys = [key for table in tables for key in table["properties"]]
    assert [key for key in [*keys, *RUN_NAMES] if f"`{key}`" not in REFERENCE] == []
