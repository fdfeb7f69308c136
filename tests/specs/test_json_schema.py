from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from oauth_taskflow.specs.defaults import merge_defaults
from oauth_taskflow.specs.json_schema import SCHEMA_FILE, spec_schema
from oauth_taskflow.specs.schema_errors import _validator, to_model
from oauth_taskflow.specs.yaml_reader import load_text
from tests.support.examples import examples

VALID = sorted((Path(__file__).parent / "valid").glob("*.yaml"))


def properties(schema: Any, at: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, list):
        for item in schema:
            yield from properties(item, at)
    elif isinstance(schema, dict):
        for key, value in schema.items():
            if key == "properties" and not at.endswith("/if"):
                for name, child in value.items():
                    yield f"{at}/{name}", child
            yield from properties(value, f"{at}/{key}")


@lru_cache(maxsize=1)
def load_published() -> Draft202012Validator:
    return Draft202012Validator(spec_schema())


@pytest.mark.parametrize("merged", [False, True])
def test_the_schema_is_a_schema(merged: bool) -> None:
    Draft202012Validator.check_schema(spec_schema(merged=merged))


def test_every_property_has_title_description_and_examples() -> None:
    bare = [
        at
        for at, schema in properties(spec_schema())
        if not (schema.get("title") and schema.get("description") and schema.get("examples"))
    ]
    assert bare == []


def test_every_example_fits_its_property() -> None:
    defs = spec_schema()["$defs"]
    for at, schema in properties(spec_schema()):
        for example in schema["examples"]:
            errors = list(Draft202012Validator({**schema, "$defs": defs}).iter_errors(example))
            assert errors == [], f"{at}: {example!r}"


def test_the_committed_schema_is_the_generated_one() -> None:
    committed = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    assert committed == json.loads(json.dumps(spec_schema()))


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_editors_accept_what_the_check_accepts(path: Path) -> None:
    data = load_text(path.read_text(encoding="utf-8"), str(path)).data
    assert [error.message for error in load_published().iter_errors(data)] == []


@pytest.mark.parametrize(
    "endpoint",
    [
        {"paginate": {"type": "cursr"}},
        {"paginate": {"type": "link", "size": 5}},
        {"paginate": {"sise": 5}},
        {"request": {"pat": "/a"}},
        {"request": {"headers": {"A": 1}}},
        {"responses": [{"status": None, "action": "skp"}]},
        {"timeout": "5"},
        {"unknown": 1},
    ],
)
def test_editors_refuse_what_the_check_refuses(endpoint: dict[str, Any]) -> None:
    spec = {"version": 1, "dag_id": "x", "endpoints": {"a": endpoint}}
    assert not load_published().is_valid(spec)


def test_a_wrong_paginator_is_explained_by_the_schema_of_its_kind() -> None:
    spec = {
        "version": 1,
        "dag_id": "x",
        "endpoints": {"a": {"paginate": {"type": "page", "size": 0}}},
    }
    error = best_match(load_published().iter_errors(spec))
    assert error is not None
    assert list(error.absolute_path) == ["endpoints", "a", "paginate", "size"]


# Words and numbers that the format knows, so that random documents come near to real ones.
NUMBERS = (0, 1, 5, 404, -1, 1.0, 2.5, 10**30)
WORDS = [
    "",
    "a",
    "/a",
    "PT5S",
    "5xx",
    "P",
    "GET",
    "2026-01-01",
    "2026-01-01 x",
    "500-504",
    "page",
    "file",
    "x.y",
    "jsonl",
    "cursor",
    "retry",
]
SCALARS = st.sampled_from([None, True, False, *NUMBERS, *WORDS])


def values_like(schema: dict[str, Any], depth: int = 0) -> st.SearchStrategy[Any]:
    """Values that mostly fit ``schema``, and now and then do not."""
    defs = spec_schema(merged=True)["$defs"]
    if "$ref" in schema:
        return values_like(defs[schema["$ref"].rpartition("/")[2]], depth)
    options: list[st.SearchStrategy[Any]] = [SCALARS]
    if "examples" in schema:
        options.append(st.sampled_from(schema["examples"]))
    options += [values_like(branch, depth) for branch in schema.get("anyOf", ())]
    options += [values_like(branch["then"], depth) for branch in schema.get("allOf", ())[:-1]]
    if "properties" in schema and depth < 4 and "allOf" not in schema:
        optional = {name: values_like(s, depth + 1) for name, s in schema["properties"].items()}
        needed = {name: optional.pop(name) for name in schema.get("required", ())}
        mapping: st.SearchStrategy[Any] = st.fixed_dictionaries(needed, optional=optional)
        options.append(mapping)
    if isinstance(schema.get("additionalProperties"), dict) and depth < 4:
        inner = values_like(schema["additionalProperties"], depth + 1)
        options.append(st.dictionaries(st.sampled_from(["a", "b_c", "d e", ""]), inner, max_size=2))
    if "items" in schema and depth < 4:
        options.append(st.lists(values_like(schema["items"], depth + 1), max_size=2))
    return st.one_of(options)


PARTS = st.sampled_from(sorted(spec_schema(merged=True)["properties"])).flatmap(
    lambda name: st.tuples(st.just(name), values_like(spec_schema(merged=True)["properties"][name]))
)
ENDPOINT_PARTS = st.sampled_from(
    sorted(spec_schema(merged=True)["$defs"]["Endpoint"]["properties"])
).flatmap(
    lambda name: st.tuples(
        st.just(name),
        values_like(spec_schema(merged=True)["$defs"]["Endpoint"]["properties"][name], 1),
    )
)


@pytest.mark.no_cover
@pytest.mark.slow
@examples(6, suppress_health_check=list(HealthCheck))
@given(part=PARTS, endpoint=ENDPOINT_PARTS)
def test_the_model_and_the_schema_accept_the_same_documents(
    part: tuple[str, Any], endpoint: tuple[str, Any]
) -> None:
    document = {"version": 1, "dag_id": "x", "endpoints": {"a": dict([endpoint])}} | dict([part])
    accepted = to_model(document) is not None
    assert accepted == _validator().is_valid(document), document
    if accepted:
        assert load_published().is_valid(document)


@examples(suppress_health_check=list(HealthCheck))
@given(part=PARTS, endpoint=ENDPOINT_PARTS)
def test_merging_keeps_an_accepted_document_accepted(
    part: tuple[str, Any], endpoint: tuple[str, Any]
) -> None:
    document = {"version": 1, "dag_id": "x", "endpoints": {"a": dict([endpoint])}} | dict([part])
    merged = merge_defaults(document)
    assert (to_model(merged) is not None) == _validator().is_valid(merged)
