"""Finds what a preset says that can never work: the answers that it is meant for would show it only by being misread."""

from __future__ import annotations

from collections.abc import Iterator

from oauth_taskflow.api.response_rules import ResponseRule
from oauth_taskflow.iso8601 import LONGEST_DURATION, duration_length
from oauth_taskflow.jmespath_flaws import find_flaw
from oauth_taskflow.presets.model import Preset
from oauth_taskflow.text_patterns import regex_flaw, text_pattern_flaw


def find_preset_flaw(preset: Preset) -> str | None:
    """Returns the place of the first flaw, the reason and what to do; None without one."""
    return next(_list_flaws(preset), None)


def _list_flaws(preset: Preset) -> Iterator[str]:
    for place, path in list_paths(preset):
        if (flaw := find_flaw(path)) is not None:
            yield f"{place}: {flaw.reason}. {flaw.hint}"
    for name, variable in preset.variables.items():
        if reason := regex_flaw(variable.pattern):
            yield f"variables.{name}.pattern: not a regular expression: {reason}"
    for number, rule in enumerate(preset.api_responses):
        for place, reason in _list_rule_flaws(rule):
            yield f"api_responses[{number}].{place}: {reason}"


def list_paths(preset: Preset) -> Iterator[tuple[str, str]]:
    """Yields the JMESPath expressions of a preset, with the place of each."""
    answer, revoke, refresh = preset.response, preset.revoke, preset.refresh
    found = {
        "response.access_token": answer.access_token,
        "response.refresh_token": answer.refresh_token,
        "response.success": answer.success,
        "response.error": answer.error,
        "response.error_description": answer.error_description,
        "response.expiry.path": answer.expiry.path,
        "revoke.success": revoke.success,
        "refresh.lifetime_path": refresh.lifetime_path,
        "base_url_from.path": preset.base_url_from and preset.base_url_from.path,
    }
    found |= {
        f"api_responses[{at}].when": rule.when for at, rule in enumerate(preset.api_responses)
    }
    yield from ((place, path) for place, path in found.items() if path)


def _list_rule_flaws(rule: ResponseRule) -> Iterator[tuple[str, str]]:
    for name, pattern in rule.header.items():
        if reason := regex_flaw(pattern):
            yield f"header.{name}", f"not a regular expression: {reason}"
    if rule.when_text is not None and (reason := text_pattern_flaw(rule.when_text)):
        yield "when_text", reason
    length = duration_length(rule.wait) if isinstance(rule.wait, str) else 0
    if length is None or length > LONGEST_DURATION:
        yield "wait", "not an ISO 8601 duration up to a hundred years; write PT30S"
