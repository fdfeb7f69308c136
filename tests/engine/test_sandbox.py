"""A template may be wrong, but it takes neither all memory nor all time."""

from __future__ import annotations

import time
from functools import partial

import pytest

from oauth_taskflow.errors import TemplateFailed
from oauth_taskflow.templates.references import parse_template
from oauth_taskflow.templates.render import render_text, render_value
from tests.support.timed import time_action

GREEDY = [
    "{{ [1] * 99999999 }}",
    "{{ 'a' * 10 ** 9 }}",
    "{{ 10 ** 9 * 'a' }}",
    "{{ range(10 ** 9) | list }}",
    "{{ 9 ** (9 ** 9) }}",
    "{{ 'a' | center(10 ** 9) }}",
    "{{ 'a'.ljust(10 ** 9) }}",
    "{{ '%999999999d' % 1 }}",
    "{{ '%*d' % (999999999, 1) }}",
    "{{ '%999999999d' | format(1) }}",
    "{{ '{:999999999}'.format(1) }}",
    "{{ '{:{}}'.format(1, 999999999) }}",
    "{{ ('a' * 9999).replace('a', 'b' * 9999) }}",
    "{{ ('a' * 9999) | replace('a', 'b' * 9999) }}",
    "{{ range(99999) | join('a' * 99999) }}",
    "{{ ('a' * 99999).join(range(99999) | list) }}",
    "{{ [1] | tojson(indent=10 ** 9) }}",
    "{{ ''.join(['a' * 999999, 'b' * 999999]) }}",
    "{{ 'a\\nb' | indent(10 ** 9) }}",
    "{{ [1] | batch(10 ** 9, 0) | list }}",
    "{{ [1] | slice(10 ** 9) | list }}",
    "{{ lipsum(n=10 ** 6) }}",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{% set n = namespace(x='a') %}{% for a in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "{% set n = namespace(x='a') %}{% for a in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "{% set n = namespace(x='a') %}{% for a in range(60) %}{% set n.x %}{{ n.x }}{{ n.x }}{% endset %}{% endfor %}",
    "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
]


@pytest.mark.parametrize("template", GREEDY)
def test_a_template_that_makes_too_much_fails_and_the_check_computes_nothing(template: str) -> None:
    _, seconds = time_action(partial(parse_template.__wrapped__, template))
    assert seconds < 1
    begun = time.thread_time()
    with pytest.raises(TemplateFailed):
        render_text(f"x{template}", {})
    # Not a benchmark: unbounded, each of them takes minutes or all memory.
    assert time.thread_time() - begun < 20


def test_a_whole_expression_that_makes_too_much_fails_too() -> None:
    with pytest.raises(TemplateFailed):
        render_value("{{ [1] * 99999999 }}", {})


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("{{ 'ab' * 3 }}", "ababab"),
        ("{{ 2 ** 10 }}", 1024),
        ("{{ 1700000000000 * 1000 }}", 1700000000000000),
        ("{{ '%05d' | format(7) }}", "00007"),
        ("{{ '{:>4}'.format(7) }}", "   7"),
        ("{{ 'a' ~ 1 ~ 'b' }}", "a1b"),
        ("{{ [1, 2] | join(',') }}", "1,2"),
        ("{{ '7'.zfill(3) }}", "007"),
        ("{{ 'a-b' | replace('-', '_') }}", "a_b"),
        ("{{ range(3) | list }}", [0, 1, 2]),
        ("{{ 1 + 2 }}", 3),
        ("{{ 'a' + 'b' }}", "ab"),
        ("{{ '-'.join(['a', 'b']) }}", "a-b"),
        ("{{ ''.join({'a': 1}) }}", "a"),
        ("{{ 'a' | center(3) }}", " a "),
        ("{{ [1, 2] | tojson(indent=0) | length }}", 8),
    ],
)
def test_ordinary_expressions_give_what_jinja_gives(template: str, value: object) -> None:
    assert render_value(template, {}) == value


def test_loops_know_their_length_and_their_last_turn() -> None:
    template = (
        "{% for x in 'abc' %}{{ x }}{{ loop.length }}{{ ',' if not loop.last else '' }}{% endfor %}"
    )
    assert render_text(template, {}) == "a3,b3,c3"
