"""The check takes time that grows with the file, not with its square: shown by counting what is done, or by inputs
on which the quadratic way takes minutes."""

from __future__ import annotations

import time

import pytest

from oauth_taskflow.specs.check import MAX_PROBLEMS, check_text
from oauth_taskflow.specs.yaml_reader import MAX_NODES, MAX_TEXT

TOP = (
    "version: 1\ndag_id: x\nconnection: c\n"
    'defaults: {destination: {path: "/d/{{ endpoint }}"}, request: {path: /a}}\n'
)
ONE = TOP + "endpoints:\n  a: "


def many(pattern: str, count: int) -> str:
    return ", ".join(pattern.replace("#", str(index)) for index in range(count))


INPUTS = {
    "brackets": "[" * 10**6,
    "braces": "{" * 10**6,
    "dashes": "- " * 10**6,
    "values": "[" + "a," * 500_000 + "]",
    "aliases": "a: &a [1]\nb: [" + "*a," * 300_000 + "]",
    "laughs": "a0: &a0 [x]\n"
    + "".join(f"a{i}: &a{i} [{many(f'*a{i - 1}', 9)}]\n" for i in range(1, 20)),
    "long text": ONE + "{description: " + "a" * 10**6 + "}",
    "url-like": ONE + '{description: "' + "a" * 90_000 + '", request: {path: "/x@://"}}',
    "token-like": ONE + '{description: "' + "eyJ-" * 24_000 + '"}',
    "query-like": ONE + '{request: {params: {x: "' + "?" * 90_000 + '"}}}',
    "brace-like": ONE + '{request: {params: {x: "' + "{ ds" * 24_000 + '"}}}',
    "many templates": ONE + '{request: {params: {x: "' + "{{ ds }}" * 12_000 + '"}}}',
    "parentheses": ONE + '{records: "' + "(" * 90_000 + '"}',
    "regex": ONE
    + "{responses: [{status: 404, action: skip, header: {x: '"
    + "(a|b)*" * 15_000
    + "'}}]}",
    "cron": TOP + 'schedule: "' + "1," * 45_000 + '1 * * * *"\nendpoints: {a: {}}',
    "zone": TOP + "timezone: " + "A/" * 45_000 + "\nendpoints: {a: {}}",
    "params": TOP
    + f"params: {{{many('p#: 1', 5000)}}}\nendpoints: {{a: {{request: {{params: {{"
    + many('x#: "{{ params.q# }}"', 5000)
    + "}}}}",
    "unknown keys": TOP + f"endpoints: {{a: {{{many('k#: 1', 10_000)}}}}}",
    "wrong items": ONE + f"{{for_each: {{x: [{many('[]', 5000)}]}}}}",
    "a cycle": TOP + f"endpoints: {{{many('k#: {for_each: {x: k0}}', 1500)}}}",
    "big defaults": TOP.replace("path: /a", "path: /a, params: {" + many("k#: 1", 4000) + "}")
    + f"endpoints: {{{many('k#: {}', 4000)}}}",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", INPUTS)
def test_large_inputs_are_checked_in_seconds(name: str) -> None:
    begun = time.process_time()
    checked = check_text(INPUTS[name])
    # Not a benchmark: what grows with the square takes minutes here.
    assert time.process_time() - begun < 20
    assert len(checked.problems) <= MAX_PROBLEMS + 1


def test_aliases_that_multiply_are_refused() -> None:
    (problem,) = check_text(INPUTS["laughs"]).problems
    assert problem.rule == "yaml-too-big"
    assert str(MAX_NODES) in problem.message


def test_a_text_longer_than_a_spec_needs_is_refused_at_its_line() -> None:
    (problem,) = check_text(INPUTS["long text"]).problems
    assert (problem.line, problem.rule) == (6, "yaml-too-big")
    assert problem.message == f"a text longer than {MAX_TEXT} characters"


@pytest.mark.slow
def test_defaults_that_multiply_with_the_endpoints_are_refused() -> None:
    (problem,) = check_text(INPUTS["big defaults"]).problems
    assert problem.rule == "yaml-too-big"
    assert "4000 endpoints" in problem.message
