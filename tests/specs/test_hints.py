"""Messages about broken YAML and wrong types name the place to look at and the right form."""

from __future__ import annotations

import pytest

from oauth_taskflow.specs.check import check_text
from oauth_taskflow.specs.json_schema import spec_schema
from oauth_taskflow.specs.samples import sample_text

INDENTED = (
    'Look for a second ": " in this line, which needs quotes around the text, and for an indentation that differs from '
    "the line above."
)
NEIGHBOURS = "Look for a line whose indentation differs from its neighbours, and for a quote inside quoted text."
QUOTES = "Look for a quote that is not closed, and in double quotes for a single backslash."
BRACKETS = "A bracket or brace opened in this line or above is not closed, or a template between braces has no quotes."


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "dag_id: a: b\n",
            f"x.yaml:1:10: error: dag_id: mapping values are not allowed in this context. {INDENTED}",
        ),
        (
            "version: 1\n dag_id: x\n",
            f"x.yaml:2:8: error: version: mapping values are not allowed in this context. {INDENTED}",
        ),
        (
            "a: - x\n",
            "x.yaml:1:4: error: a: block sequence entries are not allowed in this context. A list begins on the line "
            "below its key; within one line write [a, b].",
        ),
        (
            "a: [1, 2\nb: 3\n",
            f"x.yaml:2:2: error: a[1]: did not find expected ',' or ']' (while parsing a flow sequence). {BRACKETS}",
        ),
        (
            'a: "x\nb: 3\n',
            "x.yaml:1:4: error: a: a quote in this line is not closed. Close it, or write it twice in text.",
        ),
        (
            "a: 'it's'\n",
            f"x.yaml:1:8: error: a: did not find expected key (while parsing a block mapping). {NEIGHBOURS}",
        ),
        (
            "a:\n  - x\n y: 1\n",
            f"x.yaml:3:2: error: a: did not find expected key (while parsing a block mapping). {NEIGHBOURS}",
        ),
    ],
)
def test_a_message_about_broken_yaml_names_the_usual_cause(text: str, line: str) -> None:
    (problem,) = check_text(text, "x.yaml").problems
    assert str(problem) == f"{line} [yaml-syntax]"


def test_a_value_of_the_wrong_type_comes_with_an_example() -> None:
    text = "version: 1\ndag_id: crm\nconnection: crm\nendpoints:\n  a:\n    request: /a\n  b: /b\n"
    text += 'defaults: {destination: {path: "/data/{{ endpoint }}"}}\n'
    assert [str(problem) for problem in check_text(text, "x.yaml").problems] == [
        "x.yaml:6:14: error: endpoints.a.request: expected a mapping, got text. For example request: {path: /v3/contacts}. "
        "[wrong-type]",
        "x.yaml:7:6: error: endpoints.b: expected a mapping, got text. For example b: {request: {path: /v3/contacts}}. "
        "[wrong-type]",
    ]


@pytest.mark.parametrize("path", [(), (0,), ("nothing",), ("endpoints", "a", "nothing", "below")])
def test_a_place_that_the_model_does_not_know_has_no_example(path: tuple[str | int, ...]) -> None:
    assert sample_text(path) == ""


def test_every_key_of_an_endpoint_has_an_example() -> None:
    for name in spec_schema(merged=True)["$defs"]["Endpoint"]["properties"]:
        assert sample_text(("endpoints", "contacts", name)).startswith(f"For example {name}: ")


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("retries: 3", "It belongs below 'task': task: {retries: …}."),
        ("json: {}", "It belongs below 'request': request: {json: …}."),
        ("requst: {}", "Did you mean 'request'?"),
    ],
)
def test_a_key_one_level_too_high_is_reported_with_its_right_place(key: str, hint: str) -> None:
    text = f"version: 1\ndag_id: x\nconnection: c\nendpoints:\n  a:\n    {key}\n"
    found = [
        problem for problem in check_text(text, "x.yaml").problems if problem.rule == "unknown-key"
    ]
    assert [hint in str(problem) for problem in found] == [True]
