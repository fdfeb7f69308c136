#!/usr/bin/env python3
"""Write the JSON Schema and the reference pages that are made from the code.

``generate_docs.py`` writes them; ``generate_docs.py --check`` only says which are out of date (exit status 1).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from oauth_taskflow.presets.page import providers_page
from oauth_taskflow.presets.schema import preset_schema
from oauth_taskflow.specs.json_schema import spec_schema
from oauth_taskflow.specs.rules import MODULES, all_rules
from oauth_taskflow.specs.schema_errors import SCHEMA_RULES
from oauth_taskflow.specs.template_names import RUN_NAMES

ROOT = Path(__file__).resolve().parents[1]
_REF = "#/$defs/"
_MADE = "<!-- Made by scripts/generate_docs.py; edit the code instead. -->"


def render_files() -> dict[str, str]:
    """The text of every generated file, by its path below the project's root."""
    return {
        "oauth_taskflow/specs/dag_spec.schema.json": json.dumps(spec_schema(), indent=2) + "\n",
        "oauth_taskflow/presets/preset.schema.json": json.dumps(preset_schema(), indent=2) + "\n",
        "docs/spec-reference.md": "\n".join(spec_reference()) + "\n",
        "docs/providers.md": "\n".join(providers_page()) + "\n",
        "docs/rules.md": "\n".join(rules_page()) + "\n",
    }


def spec_reference() -> Iterator[str]:
    """The page that lists every key of a spec."""
    schema = spec_schema()
    yield from (
        "# Spec reference",
        "",
        _MADE,
        "",
        "One YAML file is one DAG. Every key, what it takes and what it means. Editors complete and check specs",
        "that begin with `# yaml-language-server: $schema=dag_spec.schema.json`, once `validate-dag-specs --schema` has",
        "written that file beside them.",
        "",
        "**YAML as read here:** only `true` and `false` are booleans, dates stay text, keys are text and stand once,",
        "anchors and `<<` work, tags do not.",
        "",
        "**Defaults** are merged under every endpoint: mappings key by key, lists and single values replace, null",
        "removes, and a paginator or destination of another `type` replaces the whole mapping.",
        "",
        "**Templates** (`{{ ... }}`) are texts of `request`, `destination.path`, `fields.set` and `weight`. Their names: "
        + ", ".join(f"`{name}`" for name in sorted(RUN_NAMES))
        + "; each variable of `for_each`; `window.start` and `window.end` in requests of endpoints with "
        "`incremental`, with a stored watermark also `watermark.value` and `watermark.cursor`; in `fields.set` also `record` and "
        "`now`; in requests also `omit`, which leaves out the parameter, header, key or list item it stands for, and "
        "`page.token`, `page.number`, `page.offset` and `page.size` as far as the paginator has them "
        "([paging.md](paging.md)). An undefined name is refused by the check, and fails the task if it slips through.",
        "",
        "**Pages by subject:** [paging.md](paging.md), [incremental.md](incremental.md), [fields.md](fields.md), "
        "[budgets.md](budgets.md), [resume.md](resume.md), [speed.md](speed.md), [dags.md](dags.md), "
        "[destinations.md](destinations.md); whole specs: [examples](examples/README.md).",
        "",
        "## The file",
        "",
    )
    yield from _table(schema)
    for name, definition in schema["$defs"].items():
        yield from ("", f"## {name}", "", definition["description"], "")
        yield from _table(definition)


def _table(definition: dict[str, Any]) -> Iterator[str]:
    yield "| key | takes | default | meaning | example |"
    yield "|---|---|---|---|---|"
    required = definition.get("required", [])
    for name, schema in definition["properties"].items():
        default = "required" if name in required else _code(schema.get("default"))
        example = _code(schema["examples"][0])
        cells = [f"`{name}`", _takes(schema), default, schema["description"], example]
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _code(value: Any) -> str:
    if value is None or value in ("", [], {}):
        return ""
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _takes(schema: dict[str, Any]) -> str:
    """The values of a key, in words; a definition is a link to its table."""
    if "$ref" in schema:
        return _link(schema["$ref"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"] if value is not None)
    if "allOf" in schema:
        return _either_link(schema)
    if "anyOf" in schema:
        return _either([_takes(branch) for branch in schema["anyOf"]])
    kinds = schema.get("type", "any value")
    return _either([_kind(kind, schema) for kind in ([kinds] if isinstance(kinds, str) else kinds)])


def _either_link(schema: dict[str, Any]) -> str:
    return ", ".join(_link(branch["then"]["$ref"]) for branch in schema["allOf"])


def _either(kinds: list[str]) -> str:
    named = [kind for kind in dict.fromkeys(kinds) if kind not in {"", "null"}]
    return "any value" if len(named) > 5 else " or ".join(named)


def _kind(kind: str, schema: dict[str, Any]) -> str:
    values = schema.get("additionalProperties")
    if kind == "object" and isinstance(values, dict):
        return f"mapping of {_takes(values)}"
    if kind == "array" and "items" in schema:
        return f"list of {_takes(schema['items'])}"
    names = {
        "string": "text",
        "object": "mapping",
        "array": "list",
        "integer": "whole number",
        "boolean": "true or false",
    }
    return names.get(kind, kind)


def _link(ref: str) -> str:
    name = ref.removeprefix(_REF)
    return f"[{name}](#{name.lower()})"


def rules_page() -> Iterator[str]:
    """The manual of every rule that a check can name."""
    yield from (
        "# Rules",
        "",
        _MADE,
        "",
        "What `validate-dag-specs` can find, by the ID in brackets at the end of a problem. Errors keep a spec",
        "from loading; warnings do not, unless `--strict` is given.",
        "",
        "## The file and its shape",
        "",
        "All of these are errors, unless they say otherwise.",
        "",
    )
    for rule_id, text in SCHEMA_RULES.items():
        yield from (f'<a id="{rule_id}"></a>', f"- **{rule_id}**: {text}")
    told: set[str] = set()
    for module in MODULES:
        subject = (module.__doc__ or "").removeprefix("Rules about ").strip().rstrip(".")
        yield from ("", f"## {subject[0].upper()}{subject[1:]}")
        for rule in all_rules():
            if rule.module == module.__name__ and rule.id not in told:
                told.add(rule.id)
                yield from ("", f"### {rule.id}", "", f"*{rule.level}*", "", rule.manual)


def main(argv: list[str] | None = None) -> int:
    """Write or check the generated files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    check = parser.parse_args(argv).check
    status = 0
    for name, text in render_files().items():
        path = ROOT / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if check:
            print(f"{name} is out of date; run scripts/generate_docs.py", file=sys.stderr)
            status = 1
        else:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {name}")
    return status


if __name__ == "__main__":
    sys.exit(main())
