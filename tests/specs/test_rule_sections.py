"""A rule that runs only where an endpoint has a key finds nothing in endpoints without it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from msgspec.structs import replace

from oauth_taskflow.specs.check import check_file
from oauth_taskflow.specs.rules import run_rules
from oauth_taskflow.specs.rules.registry import (
    ENDPOINT_RULES,
    SECTIONS,
    EndpointView,
    endpoint_rule,
)

FILES = sorted(Path(__file__).parent.glob("*valid/*.yaml"))


@cache  # checking all files takes longer than all tests of this file
def _endpoints() -> list[EndpointView]:
    views = [checked.view for checked in map(check_file, FILES) if checked.view is not None]
    return [each for view in views for each in view.endpoints]


def _without(view: EndpointView, sections: tuple[str, ...]) -> EndpointView:
    endpoint, raw = view.endpoint, dict(view.raw)
    for section in sections:
        above, _, name = section.rpartition(".")
        if above:
            raw[above] = {key: value for key, value in raw.get(above, {}).items() if key != name}
            inner = replace(getattr(endpoint, above), **{name: SECTIONS[section]})
            endpoint = replace(endpoint, **{above: inner})
        else:
            raw.pop(section, None)
            endpoint = replace(endpoint, **{section: SECTIONS[section]})
    return EndpointView(view.spec, view.name, endpoint, raw)


ABOUT = sorted({rule.about for rule, _ in ENDPOINT_RULES if rule.about})


@pytest.mark.parametrize("about", ABOUT)
def test_rules_about_a_key_find_nothing_without_it(about: tuple[str, ...]) -> None:
    checks = [check for rule, check in ENDPOINT_RULES if rule.about == about]
    endpoints = [_without(each, about) for each in _endpoints()]

    found = [finding for check in checks for view in endpoints for finding in check(view)]

    assert checks
    assert len(endpoints) > 100
    assert found == []


def test_a_rule_cannot_be_about_a_key_that_does_not_exist() -> None:
    with pytest.raises(AttributeError, match="paginat"):
        endpoint_rule("never-registered", about="paginat")


@pytest.mark.slow
def test_leaving_rules_out_changes_no_finding() -> None:
    for endpoint in _endpoints():
        every = {(rule, found) for rule, check in ENDPOINT_RULES for found in check(endpoint)}
        assert every == set(run_rules(endpoint))
