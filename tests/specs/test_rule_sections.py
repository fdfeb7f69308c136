"""A rule that runs only where an endpoint has a key finds nothing in endpoints without it."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from oauth_taskflow.specs.check import check_file
from oauth_taskflow.specs.rules.registry import ENDPOINT_RULES, SECTIONS, EndpointView, Section

FILES = sorted(Path(__file__).parent.glob("*valid/*.yaml"))


def _without(view: EndpointView, section: Section) -> EndpointView:
    raw = {name: value for name, value in view.raw.items() if name != section}
    return EndpointView(view.spec, view.name, replace(view.endpoint, **{section: None}), raw)


@pytest.mark.parametrize("section", SECTIONS)
def test_rules_about_a_key_find_nothing_without_it(section: Section) -> None:
    checks = [check for rule, check in ENDPOINT_RULES if rule.about == section]
    views = [checked.view for checked in map(check_file, FILES) if checked.view is not None]
    endpoints = [_without(each, section) for view in views for each in view.endpoints]

    found = [finding for check in checks for view in endpoints for finding in check(view)]

    assert checks
    assert len(endpoints) > 100
    assert found == []
