"""Checks whether a document fits the model, and finds every place where it does not.

``msgspec`` accepts or refuses in microseconds. Only after a refusal does the JSON Schema, made from the same types, find
all the reasons.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import msgspec

from oauth_taskflow.redaction import is_sensitive_name, redact_text
from oauth_taskflow.schema.reading import read_as
from oauth_taskflow.schema.types import Duration
from oauth_taskflow.specs.json_schema import spec_schema
from oauth_taskflow.specs.model import DagSpec, DateText
from oauth_taskflow.specs.problem import Finding, YamlPath
from oauth_taskflow.specs.samples import sample_text
from oauth_taskflow.suggestions import find_closest, suggest_allowed

# jsonschema's ValidationError and Validator: schemas and instances are raw JSON in both.
_Error = Any
_Validator = Any

_WORDS = {
    "string": "text",
    "object": "a mapping",
    "array": "a list",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
_PYTHON_WORDS = {
    str: "text",
    dict: "a mapping",
    list: "a list",
    bool: "true or false",
    type(None): "null",
}
_PATTERN_RULES = {
    Duration.__metadata__[0].pattern: "bad-duration",  # type: ignore[attr-defined]  # Annotated keeps its Meta
    DateText.__metadata__[0].pattern: "bad-date",  # type: ignore[attr-defined]  # Annotated keeps its Meta
}

_SEARCHED = 4000
_FORMS = {
    "bad-duration": "Expected an ISO 8601 duration, for example PT30S, PT5M or P7D.",
    "bad-date": "Expected an ISO 8601 date or date-time, for example 2026-01-31 or 2026-01-31T06:00:00Z.",
}

# The rules that schema errors are reported under, with their pages in the rule manual.
SCHEMA_RULES = {
    "yaml-syntax": "The file is not readable as YAML: broken syntax, not UTF-8, empty, or more than one document.",
    "yaml-tag": "Tags such as !!timestamp or !env are not supported: a spec is plain data.",
    "yaml-key": "Every key is text. Numbers, true, false and null as keys need quotes.",
    "yaml-too-big": "Nested too deep, or aliases that expand without end.",
    "duplicate-key": "A mapping has the same key twice. YAML parsers silently keep the last one; this check refuses.",
    "unknown-key": "The format has no such key here; most often a typo.",
    "missing-key": "A key that must be there is not.",
    "wrong-type": "Text where a mapping is expected, a word where a number is expected, and so on.",
    "not-allowed": "The value is not one of those allowed.",
    "bad-text": "Text that does not have the form asked for here.",
    "out-of-range": "A number, text or list that is too small or too big.",
    "refused": "Airflow, or the check itself, failed on this file with an exception; the others are not affected.",
    "skipped-dag-file": "A DAG file that loads specs and that Airflow skips, because its text lacks a word (a warning).",
    "unreadable-file": "The file or folder cannot be read.",
}


def to_model(document: Any) -> DagSpec | None:
    """Convert ``document``, with its defaults merged, to the model; None when it does not fit."""
    try:
        return read_as(DagSpec, document)
    except msgspec.ValidationError:
        return None


def schema_findings(document: Any) -> Iterator[tuple[str, Finding]]:
    """Every deviation of ``document`` from the model, with the rule it breaks."""
    found = False
    for error in _validator().iter_errors(document):
        for rule, finding in _explain(error, tuple(error.absolute_path)):
            found = True
            yield rule, _with_sample(finding) if rule == "wrong-type" else finding
    if not found:
        # A number that no float holds is the known case: JSON Schema has no word for it.
        yield "out-of-range", Finding((), _refusal(document))


def _with_sample(finding: Finding) -> Finding:
    """``finding`` with an example as its hint, unless it has a hint."""
    return replace(finding, hint=finding.hint or sample_text(finding.path))


def _refusal(document: Any) -> str:
    try:
        read_as(DagSpec, document)
    except msgspec.ValidationError as error:
        return str(error)
    return ""


@lru_cache(maxsize=1)
def _validator() -> _Validator:
    # Imported on the first wrong spec: jsonschema costs more than checking a hundred good ones.
    from jsonschema import Draft202012Validator, validators  # noqa: PLC0415  # see above

    base = Draft202012Validator.TYPE_CHECKER
    # JSON Schema takes 1.0 for an integer and the model does not; neither takes true for one.
    checker = base.redefine(
        "integer", lambda _, value: isinstance(value, int) and not isinstance(value, bool)
    )
    extend: Any = validators.extend  # comes without types
    strict = extend(Draft202012Validator, type_checker=checker)
    return strict(spec_schema(merged=True))


def _explain(error: _Error, path: YamlPath) -> Iterator[tuple[str, Finding]]:
    if error.validator == "anyOf":
        yield from _explain_union(error, path)
    elif error.validator == "additionalProperties":
        known = error.schema["properties"]
        for key in error.instance:
            if key not in known:
                yield (
                    "unknown-key",
                    Finding((*path, key), f"unknown key {key!r}", _place(key, known), at_key=True),
                )
    elif error.validator == "required":
        yield from _explain_missing(error, path)
    elif "propertyNames" in error.schema_path:
        hint = _form(error.schema)
        yield (
            "bad-text",
            Finding(
                (*path, error.instance),
                f"the name {error.instance!r} does not fit",
                hint,
                at_key=True,
            ),
        )
    else:
        rule, message, hint = _explain_value(error, path)
        yield rule, Finding(path, message, hint)


def _place(key: str, known: Mapping[str, Any]) -> str:
    """Where ``key`` belongs: one of ``known`` that is like it, below one of them, or all that there are."""
    home = "" if find_closest(key, known) else _home(key, known)
    return (
        f"It belongs below {home!r}: {home}: {{{key}: …}}." if home else suggest_allowed(key, known)
    )


def _home(key: str, known: Mapping[str, Any]) -> str:
    """The first of ``known`` that holds a mapping with ``key``."""
    shapes: Mapping[str, Any] = spec_schema(merged=True).get("$defs", {})
    for name, schema in known.items():
        for one in (schema, *schema.get("anyOf", ())):
            shape = shapes.get(str(one.get("$ref", "")).rpartition("/")[2], {})
            if key in shape.get("properties", {}):
                return name
    return ""


def _explain_missing(error: _Error, path: YamlPath) -> Iterator[tuple[str, Finding]]:
    # One error per missing key, all alike but for their text.
    missing = next(key for key in error.validator_value if error.message.startswith(f"{key!r} "))
    example = ""
    if "properties" in error.schema:
        sample = error.schema["properties"][missing]["examples"][0]
        example = f"For example {missing}: {json.dumps(sample)}."
    yield "missing-key", Finding(path, f"the key {missing!r} is missing", example)


def _explain_union(error: _Error, path: YamlPath) -> Iterator[tuple[str, Finding]]:
    """The errors of the branch that has the right type; with none, the types there are to choose from."""
    branches: dict[Any, list[_Error]] = {}
    for child in error.context or ():
        branches.setdefault(child.relative_schema_path[0], []).append(child)
    words = _type_words(branches)
    fitting = next(filter(_has_right_type, branches.values()), None)
    if fitting is None:
        yield "wrong-type", Finding(path, _type_message(words, error.instance))
    for child in fitting or ():
        for rule, finding in _explain(child, (*path, *child.relative_path)):
            yield rule, _with_other_types(finding, child, words)


def _has_right_type(branch: list[_Error]) -> bool:
    return not any(child.validator == "type" and not child.relative_path for child in branch)


def _type_words(branches: Mapping[Any, list[_Error]]) -> list[str]:
    """The types of the branches that do not fit by their type, in words."""
    errors = [child for children in branches.values() for child in children]
    return _words_of([child.validator_value for child in errors if child.validator == "type"])


def _with_other_types(finding: Finding, error: _Error, words: list[str]) -> Finding:
    """``finding`` with the other types as allowed, where a word is not one of those allowed."""
    if error.validator != "enum" or error.relative_path or not words:
        return finding
    return replace(finding, hint=f"{finding.hint.rstrip('.')}, or {' or '.join(words)}.")


def _words_of(types: list[Any]) -> list[str]:
    flat = [name for item in types for name in ([item] if isinstance(item, str) else item)]
    return list(dict.fromkeys(_WORDS[name] for name in flat if name != "null"))


def _type_message(words: list[str], instance: Any) -> str:
    return f"expected {' or '.join(words)}, got {_PYTHON_WORDS.get(type(instance), 'a number')}"


def _explain_value(error: _Error, path: YamlPath) -> tuple[str, str, str]:
    shown = _excerpt(error.instance, path)
    limit = error.validator_value
    if error.validator == "type":
        return "wrong-type", _type_message(_words_of([limit]), error.instance), ""
    if error.validator in {"enum", "const"}:
        allowed = [
            str(value)
            for value in (limit if isinstance(limit, list) else [limit])
            if value is not None
        ]
        return (
            "not-allowed",
            f"{shown} is not allowed",
            suggest_allowed(error.instance, allowed),
        )
    if error.validator == "pattern":
        rule = _PATTERN_RULES.get(limit, "bad-text")
        return rule, f"{shown} does not fit", _FORMS.get(rule) or _form(error.schema)
    bounds = {
        "minimum": f"{shown} is less than {limit}",
        "maximum": f"{shown} is more than {limit}",
        "exclusiveMinimum": f"{shown} is not more than {limit}",
        "minLength": "the text is empty",
        "minItems": "the list is empty",
        "minProperties": "the mapping is empty",
        "maxLength": f"longer than {limit} characters",
    }
    return "out-of-range", bounds[str(error.validator)], ""


def _form(schema: Any) -> str:
    description = schema.get("description", "").rstrip(".")
    examples = schema.get("examples") or []
    sample = f", for example {examples[0]}" if examples else ""
    return f"Expected: {description}{sample}." if description else ""


def _excerpt(value: Any, path: YamlPath) -> str:
    """``value`` for a message: short, and never a secret."""
    if any(is_sensitive_name(part) for part in path if isinstance(part, str)):
        return "the value"
    # Cut before it is searched for secrets too: a value may be megabytes.
    text = redact_text(repr(value[:_SEARCHED] if isinstance(value, str) else value)[:_SEARCHED])
    return text if len(text) <= 60 else f"{text[:57]}..."
