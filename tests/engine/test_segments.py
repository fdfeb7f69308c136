"""A value that comes with a run is one segment of the destination's path, however the template uses it."""

from __future__ import annotations

from typing import Any

import pytest

from oauth_taskflow.destinations.files import FileDestination
from oauth_taskflow.engine.output_location import locate_output, locate_outputs
from oauth_taskflow.engine.segments import segment_flaw
from oauth_taskflow.errors import DestinationError, OAuthTaskflowError
from oauth_taskflow.specs.model import Endpoint

GOOD = [
    *("eu", "2026-01-01T00:00:00+00:00", "a b", "größe", "100%", "50% off", ".hidden", "a..b"),
    *("user@example.com", "x=1&y", "...a", "日本", "C:", "x" * 255),
]
BAD = [
    *("", " ", ".", "..", "...", " .. ", "../..", "a/b", "/etc", "\\x", "C:\\x", "s3://other/x"),
    *("%2e%2e", "%2E%2e%2fx", "%252e%252e", "a%2fb", "%00", "a\x00b", "a\nb", "~", "~root"),
    *(
        "\uff0e\uff0e",
        "\u2025",
        "a\uff0fb",
        "a\u2215b",
        "a\u2044b",
        "\uff3cx",
        "%ef%bc%8f",
        "x" * 256,
    ),
]


def folder(path: str, given: tuple[str, ...] = ("x",), **params: Any) -> str:
    endpoint = Endpoint(destination=FileDestination(path=path))
    context = {"params": params, "endpoint": "c", "run_id": "r"}
    return locate_output(endpoint, "r", context, {}, given)


@pytest.mark.parametrize("value", GOOD)
def test_a_value_that_is_one_segment_is_used_unchanged(value: str) -> None:
    assert folder("/lake/{{ params.x }}/c", x=value) == f"/lake/{value}/c/run_id=r"


@pytest.mark.parametrize("value", BAD)
def test_anything_else_is_refused_from_a_run_and_allowed_in_a_default(value: str) -> None:
    with pytest.raises(DestinationError, match=r"params\.x of this run"):
        folder("/lake/{{ params.x }}/c", x=value)
    assert folder("/lake/{{ params.x }}/c", given=(), x=value) == f"/lake/{value}/c/run_id=r"


@pytest.mark.parametrize(
    "template",
    [
        *("{{ params['x'] }}", "{{ params.x | lower }}", "{{ params.x | default('y') }}"),
        *("{{ params.x ~ 'a' }}", "{{ 'a' ~ params.x }}", "{{ params.x + 'a' }}"),
        *("{{ params.x | replace('.', '') }}", "{{ params.x.split('/')[0] }}", "{{ params.x[0] }}"),
        *("{% set y = params.x %}{{ y }}", "{% for y in params.x %}{{ y }}{% endfor %}"),
        *("{{ [params.x, 'a'] | join('-') }}", "{{ params.values() | join('-') }}"),
        *("{% if params.x %}a{% endif %}", "{{ 'a' if params.x == 'b' else 'c' }}"),
        *(
            "{{ '%s' | format(params.x) }}",
            "{{ params.x | trim | string }}",
            "{{ params.x or 'y' }}",
        ),
    ],
)
def test_no_filter_or_expression_bypasses_the_segment_check(template: str) -> None:
    with pytest.raises(OAuthTaskflowError):
        folder(f"/lake/{template}/c", x="../..")


def test_values_inside_lists_and_mappings_are_checked_too() -> None:
    assert folder("/lake/{{ params.x.a }}", x={"a": "eu", "b": "../"}) == "/lake/eu/run_id=r"
    for bad in ({"a": ".."}, {"a": "b", "../c": 1}):
        with pytest.raises(DestinationError):
            folder("/lake/{{ params.x.a }}", x=bad)
    with pytest.raises(DestinationError):
        folder("/lake/{{ params.x | join('-') }}", x=["a", "../b"])


def test_other_params_keep_their_paths() -> None:
    path = "{{ params.root }}/{{ params.x }}/{{ params.n }}"
    assert folder(path, root="s3://lake/a", x="eu", n=7) == "s3://lake/a/eu/7/run_id=r"


def test_the_id_of_a_run_is_a_segment_too() -> None:
    endpoint = Endpoint(destination=FileDestination(path="/lake/{{ run_id }}"))
    with pytest.raises(DestinationError, match="run_id of this run"):
        locate_outputs(endpoint, "..", {"params": {}, "run_id": ".."})


def test_a_run_does_not_choose_the_connection_of_a_store() -> None:
    assert folder("s3://{{ params.x }}/c", x="lake") == "s3://lake/c/run_id=r"
    with pytest.raises(DestinationError, match="would choose the connection"):
        folder("s3://{{ params.x }}/c", x="admin@lake")
    assert folder("s3://own@lake/{{ params.x }}", x="me@example.com").endswith(
        "me@example.com/run_id=r"
    )


@pytest.mark.parametrize("character", ["?", "#"])
def test_a_query_or_fragment_in_a_url_is_refused(character: str) -> None:
    with pytest.raises(DestinationError, match="where the path of a URL ends"):
        folder("s3://lake/{{ params.x }}/c", x=f"a{character}b")
    assert folder("/lake/{{ params.x }}", x=f"a{character}b") == f"/lake/a{character}b/run_id=r"


def test_flaws_are_found_in_bounded_time() -> None:
    assert segment_flaw("%25" * 1_000_000) is not None
    assert segment_flaw("%25" * 80 + "2e") is None
