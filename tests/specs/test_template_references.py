from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow.errors import TemplateFailed
from oauth_taskflow.specs.template_names import RESERVED_NAMES, destination_names, request_names
from oauth_taskflow.templates.references import (
    TAKEN_WORDS,
    Template,
    _parse_with_jinja,
    parse_template,
)
from oauth_taskflow.templates.render import render_text, render_value

LOOK_UPS = ("{{ a }}", "{{a.b}}", "{{  c_1.d }}")
MORE = ("{% if a %}1{% endif %}", "{# note #}", "{{ a | upper }}", "{{ a['k'] }}")
NOISE = ("x", "/", "{", "}", "{ {", "}}", "é", "\n", "{{", " ", "%}")
PIECES = st.lists(st.sampled_from([*LOOK_UPS, *MORE, *NOISE]), max_size=6).map("".join)


def names(text: str) -> set[tuple[str, str]]:
    return set(parse_template(text).references)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain {x} text", set()),
        ("{{ a }}/{{ b.c }}", {("a", ""), ("b", "c")}),
        ("{{ a.b.c }}", {("a", "b"), ("a", "")}),
        ("{{ a['b'] }}", {("a", "b"), ("a", "")}),
        ("{{ a[0] }}{{ a[x] }}", {("a", ""), ("x", "")}),
        ("{% for i in items %}{{ i.x }}{{ loop.index }}{% endfor %}", {("items", "")}),
        ("{% set v = 1 %}{{ v }}{{ range(3) }}", set()),
        ("{{ true }}{{ False }}{{ none }}", set()),
        ("{{ range.id | upper }}", {("range", "id"), ("range", "")}),
        ("{{ range(range.n) }}", {("range", "n"), ("range", "")}),
        ("{% set range = 1 %}{{ range }}", set()),
    ],
)
def test_references_are_the_free_names(text: str, expected: set[tuple[str, str]]) -> None:
    assert names(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "{{ a",
        "{{ a }",
        "{% if a %}",
        "{{ a | nofilter }}",
        "{{ a is notest }}",
        "{{ }}",
        "{{ not }}",
        "{% include 'x' %}",
        "{% extends 'x' %}",
        "{% import 'x' as y %}{{ y.a }}",
        "{% from 'x' import y %}{{ y }}",
        "{{ ds.replace('a', 'b', x=1, x=2) }}",
        "{{ ds | replace('a', new='b', new='c') }}",
        "{% macro f(a, a) %}{% endmacro %}{{ f(1) }}",
        "{% for i in x %}" * 25 + "{% endfor %}" * 25,
        "{{ a | _counted }}",
    ],
)
def test_a_template_that_jinja_refuses_has_an_error(text: str) -> None:
    assert parse_template(text).error


@given(PIECES)
def test_look_ups_read_by_pattern_are_what_jinja_reads(text: str) -> None:
    quick, thorough = parse_template(text), _parse_with_jinja(text)
    assert bool(quick.error) == bool(thorough.error)
    assert {name for name, _ in quick.references} == {name for name, _ in thorough.references}
    taken = {pair for pair in quick.references if pair[1]}
    assert taken == {pair for pair in thorough.references if pair[1]}


@given(PIECES)
def test_a_template_without_error_renders_with_the_names_it_refers_to(text: str) -> None:
    template = parse_template(text)
    if template == Template() or template.error:
        return
    scope = {name: SimpleNamespace(b="x", d="y", k="z") for name, _ in template.references}
    assert isinstance(render_text(text, scope), str)


@pytest.mark.parametrize(
    "text",
    [
        "{{ a | nofilter }}",
        "{% include 'x' %}",
        "{% extends 'x' %}",
        "{% import 'x' as y %}{{ y.a }}",
        "{{ a.replace('a', 'b', x=1, x=2) }}",
        "{% macro f(a, a) %}{% endmacro %}{{ f(1) }}",
        "{% for i in a %}" * 25 + "{% endfor %}" * 25,
    ],
)
def test_a_template_with_an_error_fails_in_the_task_too(text: str) -> None:
    assert parse_template(text).error
    with pytest.raises(TemplateFailed):
        render_text(text, {"a": "1"})


def test_the_reason_why_python_refuses_a_template_is_named() -> None:
    text = "{{ a.replace('a', 'b', x=1, x=2) }}"
    assert parse_template(text).error == "keyword argument repeated: x"
    with pytest.raises(TemplateFailed, match="failed: keyword argument repeated: x"):
        render_value(text, {"a": "1"})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{{ dict(a=1, b=2).a }}", "1"),
        ("{{ dict.fromkeys(['a']) | length }}", "1"),
        ("{{ range(3) | join(',') }}", "0,1,2"),
        ("{% macro f(a, b=2) %}{{ a }}{% endmacro %}{{ f(a=1, b=3) }}", "1"),
    ],
)
def test_functions_of_jinja_need_no_value_of_the_run(text: str, shown: str) -> None:
    template = parse_template(text)
    assert template.error == ""
    assert {name for name, _ in template.references} <= template.built_in
    assert render_text(text, {}) == shown


def test_prose_that_the_sandbox_does_not_make_is_an_undefined_name() -> None:
    template = parse_template("{{ lipsum() }}")
    assert template.references == {("lipsum", "")}
    assert template.built_in == frozenset()


@pytest.mark.parametrize("name", sorted(TAKEN_WORDS | {"in", "if", "loop", "super", "import"}))
def test_a_name_fails_in_templates_where_it_is_a_taken_word(name: str) -> None:
    scope = {name: {"id": "x"}}
    if name not in TAKEN_WORDS:
        assert render_text(f"{{{{ {name}.id }}}}", scope) == "x"
        return
    with pytest.raises(TemplateFailed):
        render_text(f"{{{{ {name}.id }}}}", scope)


def test_the_window_exists_only_with_incremental_and_never_in_a_destination() -> None:
    assert "window" in request_names(["x"], incremental=True)
    assert "window" not in request_names(["x"], incremental=False)
    assert "x" in request_names(["x"], incremental=False)
    assert "window" not in destination_names(["x"])
    assert "x" in destination_names(["x"])
    assert {"window", "params", "ds"} <= RESERVED_NAMES
