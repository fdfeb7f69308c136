from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from oauth_taskflow.engine.fields_stage import Now
from oauth_taskflow.engine.rendered_request import render_request
from oauth_taskflow.errors import TemplateFailed
from oauth_taskflow.specs.model import Endpoint, Request
from oauth_taskflow.templates.render import OMIT, render_path, render_text, render_value

SCOPE = {"contact": {"id": "a/b c?#", "n": 7, "tags": ["x", "y"], "gone": None}, "region": "eu"}


def test_text_without_template_is_returned_as_it_is() -> None:
    assert render_text("100 % { plain }", SCOPE) == "100 % { plain }"


def test_a_name_that_python_uses_for_arguments_breaks_no_other_template() -> None:
    assert render_value("{{ region }}", {"self": {"id": 7}, "region": "eu"}) == "eu"
    assert render_text("x{{ region }}", {"self": {"id": 7}, "region": "eu"}) == "xeu"


def test_now_is_written_to_the_second_within_a_text() -> None:
    now = Now(2026, 1, 31, 10, 20, 30, 500_000, tzinfo=timezone.utc)
    assert render_text("read at {{ now }}", {"now": now}) == "read at 2026-01-31T10:20:30Z"
    assert render_value("{{ now }}", {"now": now}) == now


def test_a_value_in_a_path_is_one_encoded_segment() -> None:
    assert render_path("/v3/contacts/{{ contact.id }}/notes", SCOPE) == (
        "/v3/contacts/a%2Fb%20c%3F%23/notes"
    )


@pytest.mark.parametrize("value", ["..", "."])
def test_a_value_cannot_climb_out_of_the_path(value: str) -> None:
    with pytest.raises(TemplateFailed, match="as a segment"):
        render_path("/v3/{{ id }}/notes", {"id": value})


def test_a_whole_expression_keeps_its_type_in_parameters_and_bodies() -> None:
    body = {"n": "{{ contact.n }}", "tags": "{{ contact.tags }}", "text": "n={{ contact.n }}"}
    assert render_value(body, SCOPE) == {"n": 7, "tags": ["x", "y"], "text": "n=7"}


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ {'id': {'$gt': contact.n}} }}", {"id": {"$gt": 7}}),
        ("{{ {'id': {'$gt': contact.n}} | tojson if region == 'us' else omit }}", OMIT),
        ("{{ {'id': '}}'} }}", {"id": "}}"}),
        ("{{- contact.n }}", 7),
        ("{{- contact.n -}}", 7),
        ("{{ contact.n }} {{ {'a': {}} | tojson }}", '7 {"a": {}}'),
        ("{{ {'a': {}} | tojson }}, {{ contact.n }}", '{"a": {}}, 7'),
    ],
)
def test_braces_and_white_space_control_do_not_change_what_a_whole_expression_is(
    template: str, value: Any
) -> None:
    assert render_value(template, {**SCOPE, "omit": OMIT}) == value


def test_lists_and_plain_values_are_rendered_through() -> None:
    assert render_value(["{{ region }}", 3, None, True], SCOPE) == ["eu", 3, None, True]


@pytest.mark.parametrize("template", ["{{ nobody }}", "x{{ nobody }}", "{{ contact.nothing }}"])
def test_an_undefined_name_fails_with_its_name(template: str) -> None:
    with pytest.raises(TemplateFailed, match=r"nobody|nothing"):
        render_value(template, SCOPE)


@pytest.mark.parametrize("template", ["{{ contact.gone }}", "x{{ contact.gone }}"])
def test_null_never_becomes_text(template: str) -> None:
    with pytest.raises(TemplateFailed, match="it gave null"):
        render_value(template, SCOPE)
    with pytest.raises(TemplateFailed, match="it gave null"):
        render_path(template, SCOPE)


def test_the_error_names_the_template_the_reason_and_a_fix() -> None:
    with pytest.raises(TemplateFailed) as caught:
        render_text("{{ nobody }}", {})
    assert str(caught.value) == (
        "Template '{{ nobody }}' failed: 'nobody' is undefined. Use a name the spec reference "
        "lists, or the filter default(…) for values that may be missing."
    )


def test_a_missing_logical_date_is_explained_with_a_name_that_every_run_has() -> None:
    with pytest.raises(TemplateFailed) as caught:
        render_value("{{ ds }}", SCOPE)
    assert str(caught.value) == (
        "Template '{{ ds }}' failed: 'ds' has no value, because this run has no logical date: it was triggered by hand, "
        "by the API or by assets, or its DAG has no schedule. Write {{ run_after }}, for a date "
        "{{ run_after.strftime('%Y-%m-%d') }}: every run has it. Or trigger the run with a logical date."
    )


@pytest.mark.parametrize(
    "template", ["{{ data_interval_end }}", "x {{ data_interval_start.year }}"]
)
def test_a_missing_data_interval_is_explained_with_names_to_use_instead(template: str) -> None:
    with pytest.raises(TemplateFailed, match=r"no data interval: .* Write \{\{ window\.start \}\}"):
        render_value(template, SCOPE)


@pytest.mark.parametrize(
    "template", ["{{ ().__class__.__base__ }}", "{{ region.__class__ }}", "{{ 1 / 0 }}"]
)
def test_the_sandbox_refuses_python_internals(template: str) -> None:
    with pytest.raises(TemplateFailed):
        render_value(template, SCOPE)


def test_a_request_is_rendered_whole() -> None:
    request = Request(
        method="POST",
        path="/r/{{ region }}",
        params={"n": "{{ contact.n }}", "off": None},
        headers={"X-Region": "{{ region }}"},
        json={"id": "{{ contact.id }}"},
    )
    rendered = render_request(Endpoint(request=request, timeout=5), SCOPE)
    seen: dict[str, Any] = {"n": 7, "off": None}
    assert (rendered.path, rendered.method, rendered.params) == ("/r/eu", "POST", seen)
    assert rendered.headers == {"X-Region": "eu"}
    assert rendered.json == {"id": "a/b c?#"}
    assert rendered.timeout == 5


@pytest.mark.parametrize("name", ["items", "values", "keys", "get", "copy"])
def test_a_field_named_like_a_method_of_mappings_is_the_field(name: str) -> None:
    context = {"order": {name: "a/b"}}
    assert render_path(f"/o/{{{{ order.{name} }}}}", context) == "/o/a%2Fb"
    assert render_value(f"{{{{ order.{name} }}}}", context) == "a/b"


@pytest.mark.parametrize("template", ["{{ contact.items }}", "x{{ contact.items }}"])
def test_a_method_never_becomes_text(template: str) -> None:
    with pytest.raises(TemplateFailed, match="it gave a method"):
        render_value(template, SCOPE)


def test_methods_of_mappings_can_still_be_called() -> None:
    assert render_text("{{ contact.get('none', 'x') }}", SCOPE) == "x"


def test_booleans_in_a_text_are_spelled_as_in_json() -> None:
    assert render_path("/a/{{ yes }}/{{ no }}", {"yes": True, "no": False}) == "/a/true/false"


@pytest.mark.parametrize(
    ("template", "kind"), [("x{{ contact.tags }}", "list"), ("x{{ contact }}", "mapping")]
)
def test_lists_and_mappings_never_become_text(template: str, kind: str) -> None:
    with pytest.raises(TemplateFailed, match=f"it gave a {kind} inside a text"):
        render_value(template, SCOPE)
    assert render_text("{{ contact.tags | join(',') }}", SCOPE) == "x,y"


def test_any_error_inside_a_template_becomes_one_clear_error() -> None:
    with pytest.raises(TemplateFailed, match="unknown encoding"):
        render_text("{{ region.encode('nope') }}", SCOPE)


@pytest.mark.parametrize("template", ["/v3/{{ id }}", "/v3/{{ id }}/notes", "/v3/{{ id }}?a=1"])
def test_an_empty_value_never_turns_one_resource_into_another(template: str) -> None:
    with pytest.raises(TemplateFailed, match="it gave an empty segment"):
        render_path(template, {"id": ""})


def test_an_empty_value_that_leaves_no_gap_is_fine() -> None:
    assert render_path("/v3{{ suffix }}/x{{ suffix }}/", {"suffix": ""}) == "/v3/x/"


@pytest.mark.parametrize("value", ["a\r\nX-Other: 1", "€"])
def test_a_header_holds_one_line_of_latin_1(value: str) -> None:
    endpoint = Endpoint(request=Request(path="/x", headers={"X-A": "{{ value }}"}))
    with pytest.raises(TemplateFailed, match="which no header can carry"):
        render_request(endpoint, {"value": value})
    assert render_request(endpoint, {"value": " ü\ta\n"}).headers == {"X-A": "ü\ta"}


@pytest.mark.parametrize(
    ("template", "sent"),
    [
        ("{{ run_after.isoformat() }}", "2026-01-31T00:00:00+00:00"),
        ("at {{ run_after }}", "at 2026-01-31 00:00:00+00:00"),
        ("{{ run_after | string }}", "2026-01-31 00:00:00+00:00"),
    ],
)
def test_an_instant_is_written_into_json_as_text(template: str, sent: str) -> None:
    scope = {"run_after": datetime(2026, 1, 31, tzinfo=timezone.utc)}
    endpoint = Endpoint(request=Request(path="/a", method="POST", json={"since": template}))
    assert render_request(endpoint, scope).json == {"since": sent}
    whole = Endpoint(request=Request(path="/a", method="POST", json={"since": "{{ run_after }}"}))
    with pytest.raises(TemplateFailed, match="not JSON serializable"):
        render_request(whole, scope)
