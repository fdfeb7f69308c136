"""Values that rules must let pass, and values that they must find besides the files in invalid/."""

from __future__ import annotations

import pytest

from oauth_taskflow.specs.check import check_text

TOP = (
    "version: 1\ndag_id: x\nconnection: c\n"
    'defaults: {destination: {path: "/d/{{ endpoint }}"}, request: {path: /a}}\n'
)


def broken_rules(endpoint: str = "{}", top: str = "") -> list[str]:
    return [p.rule for p in check_text(f"{TOP}{top}\nendpoints:\n  a: {endpoint}\n").problems]


@pytest.mark.parametrize(
    "schedule",
    [
        "'0 6 * * *'",
        "'*/15 * * * 1'",
        "'59 23 * * *'",
        "'0 0 1,15 * mon-fri'",
        "'@daily'",
        "P1D",
        "null",
        "'*/5 4-6 * jan *'",
        "'0 0 * * 7'",
        "'@continuous'",
        "PT90M",
        "'0 0 L * *'",
    ],
)
def test_schedules_that_airflow_takes_pass(schedule: str) -> None:
    assert broken_rules(top=f"schedule: {schedule}") == []


@pytest.mark.parametrize(
    "schedule",
    [
        "'60 * * * *'",
        "'0 24 * * *'",
        "'*/0 * * * *'",
        "hourly",
        "''",
        "'0 0 * * * *'",
        "'a b c d e'",
        "'0 0 * * 8'",
        "'@Hourly'",
        "'0 0 31 2 x'",
    ],
)
def test_schedules_that_airflow_refuses_are_found(schedule: str) -> None:
    assert broken_rules(top=f"schedule: {schedule}") == ["bad-cron"]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Etc/GMT+5"])
def test_iana_zones_pass(zone: str) -> None:
    assert broken_rules(top=f"timezone: {zone}") == []


@pytest.mark.parametrize(
    "zone", ["Mars/Olympus", "../etc/passwd", "/etc/localtime", "'a\\0b'", "Europe"]
)
def test_other_zones_are_found(zone: str) -> None:
    assert broken_rules(top=f"timezone: {zone}") == ["unknown-timezone"]


def test_start_and_end_are_compared_as_instants() -> None:
    late = "start_date: 2026-01-01T01:00+02:00\nend_date: 2025-12-31T23:30Z"
    assert broken_rules(top=late) == []
    bare = "timezone: Asia/Tokyo\nstart_date: 2026-01-01\nend_date: 2025-12-31T14:00Z"
    assert broken_rules(top=bare) == ["start-after-end"]


@pytest.mark.parametrize(
    "request_",
    [
        "{headers: {X-Request-Source: airflow}}",
        "{headers: {X-Api-Key: '{{ params.p }}'}}",
        "{params: {code: DE, key: NAME, page_size: '100', with_tokens: 'true'}}",
        "{params: {fields: 'id,name,created_at,updated_at,owner_id,pipeline_id,stage_id'}}",
        "{path: /v1/some/long/path/that/is/longer/than/thirty/two/2024}",
        "{params: {uuid: 123e4567-e89b-12d3-a456-426614174000}}",
        "{params: {words: abcdefghijklmnopqrstuvwxyzabcdefghijkl}}",
        "{headers: {User-Agent: 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0'}}",
        "{headers: {User-Agent: 'acme-basic integration/2.1 (+https://acme.example/bots)'}}",
        "{headers: {User-Agent: 'Acme Token Exchange/1.0 Airflow/3.0.1 python-requests/2.32.3'}}",
        "{headers: {User-Agent: 'AirbyteWikipediaPageviewsConnector/1.0 (https://acme.example)'}}",
        "{headers: {User-Agent: 'DataPlatformPageviewsConnector2/v12.3 (+https://acme.example/bots)'}}",
        "{headers: {User-Agent: 'acme-warehouse-extraction-scheduler_EU/2026.11'}}",
        "{path: /v4/spreadsheets/1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms/values/A1}",
        "{path: /v1/databases/668d797c76fa49349b05ad288df2d136/query}",
        "{params: {q: 668d797c76fa49349b05ad288df2d136}}",
        "{params: {folderId: 1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms}}",
        "{headers: {Accept: application/vnd.github.v3.raw+json, X-Plan: Basic subscription}}",
        "{params: {zeros: a0000000000000000000000000000000000000}}",
        "{params: {since: '2026-01-01T00:00:00+00:00/2026-02-01T00:00:00'}}",
    ],
)
def test_harmless_values_are_not_reported_as_secrets(request_: str) -> None:
    rules = broken_rules(f"{{request: {request_}}}", top="params: {p: 1}")
    assert "secret-literal" not in rules


@pytest.mark.parametrize(
    "request_",
    [
        "{headers: {Cookie: session=1}}",
        "{headers: {X-Auth: Basic dXNlcjpwYXNzd29yZA==}}",
        "{params: {q: 4f3c2b1a09d8e7f6c5b4a3928170e6d5}}",
        "{params: {q: sk_live_9aB3dE5fG7hI9jK1lM3nO5pQ7rS9t}}",
        "{headers: {User-Agent: 'q7Zx2LmV9tRb4KpW8sYd3NcF6hGj1TeU/1.0'}}",
        "{headers: {X-Trace: 'AcmeConnector4f3c2b1a09d8e7f6c5b4a392/1'}}",
        "{headers: {X-Trace: 'wJalrXUtnFEMIhK7MDENGbPxRfiCYzEXAMPLEKEY/1'}}",
        "{path: '/a?x=1&access_token=abcdef'}",
        "{headers: {X-Api-Key: 123e4567-e89b-12d3-a456-426614174000}}",
        "{path: /services/hush/xoxb-123456789012-abcdefghijkl}",
        "{method: POST, json: {auth: {password: hush}}}",
        "{method: POST, form: {client_secret: [hush]}}",
    ],
)
def test_secrets_are_found_and_not_repeated(request_: str) -> None:
    problems = check_text(f"{TOP}endpoints:\n  a: {{request: {request_}}}\n").problems
    assert [p.rule for p in problems] == ["secret-literal"]
    assert not any(secret in str(problems) for secret in ("hush", "9aB3", "4f3c", "dXN", "abcdef"))


@pytest.mark.parametrize(
    "incremental",
    [
        "{field: t, start: 2024-01-01}",
        "{field: t, start: 2024-01-01, format: date, upper: inclusive, unit: P1D, step: P1D}",
        "{field: t, start: 2024-01-01, format: epoch_ms, upper: inclusive, unit: PT0.001S}",
        "{field: t, start: 2024-01-01, format: '%Y-%m-%dT%H:%M:%S%z', upper: inclusive, unit: PT1S}",
        "{field: t, start: 2024-01-01, format: '%Y-%m-%dT%H:%M:%S.%fZ', step: PT1S}",
        "{field: t, start: 2024-01-01, format: '%Y%m%d', step: P1M}",
        "{field: t, start: 2024-01-01, format: date, lower: exclusive, unit: P1D}",
        "{field: t, start: 2024-01-01, lower: exclusive, upper: inclusive, unit: P1D, step: PT6H}",
    ],
)
def test_windows_that_fit_their_format_pass(incremental: str) -> None:
    request = "{params: {since: '{{ window.start }}', until: '{{ window.end }}'}}"
    assert (
        broken_rules(f"{{request: {request}, incremental: {incremental}}}", "schedule: '@daily'")
        == []
    )


def test_an_exclusive_beginning_needs_the_unit_of_the_format() -> None:
    request = "{params: {since: '{{ window.start }}'}}"
    incremental = "{field: t, start: 2024-01-01, format: date, lower: exclusive}"
    found = broken_rules(
        f"{{request: {request}, incremental: {incremental}}}", "schedule: '@daily'"
    )
    assert found == ["unit-vs-format"]


@pytest.mark.parametrize(
    ("params", "incremental"),
    [
        ("{'u[gte]': '{{ window.start }}'}", "{field: t}"),
        ("{updated_gte: '{{ window.start }}'}", "{field: t}"),
        ("{q: 't >= {{ window.start }} and t < {{ window.end }}'}", "{field: t}"),
        ("{q: 'a -> {{ window.start }}, b => {{ window.start }}'}", "{field: t}"),
        ("{modified_after: '{{ window.start }}'}", "{field: t}"),
        ("{'u[gt]': '{{ params.since }}', since: '{{ window.start }}'}", "{field: t}"),
        ("{'u[gt]': '{{ window.start }}'}", "{field: t, lower: exclusive}"),
        ("{'u[gt]': '{{ window.start }}'}", "{field: t, lower: inclusive}"),
        ("{'u[gt]': '{{ window.start }}'}", "{field: t, lookback: PT1S}"),
    ],
)
def test_beginnings_that_the_api_takes_or_that_are_stated_pass(
    params: str, incremental: str
) -> None:
    head = "schedule: '@daily'\nstart_date: 2026-01-01"
    endpoint = f"{{request: {{params: {params}}}, incremental: {incremental}}}"
    assert "exclusive-lower" not in broken_rules(endpoint, head)


@pytest.mark.parametrize("schedule", ["null", "'@once'", "'@continuous'", "{assets: [x]}"])
def test_without_intervals_the_first_window_needs_a_start(schedule: str) -> None:
    endpoint = "{request: {params: {s: '{{ window.start }}'}}, incremental: {field: t}}"
    assert broken_rules(endpoint, f"schedule: {schedule}\nstart_date: 2026-01-01") == [
        "incremental-without-start"
    ]


def test_a_start_date_and_intervals_give_the_first_window() -> None:
    endpoint = "{request: {params: {s: '{{ window.start }}'}}, incremental: {field: t}}"
    assert broken_rules(endpoint, "schedule: '@daily'\nstart_date: 2026-01-01") == []
    assert broken_rules(endpoint, "schedule: '@daily'") == ["incremental-without-start"]


@pytest.mark.parametrize("name", ["env", "environ", "os", "var", "conn", "macros", "dag_run"])
def test_a_template_sees_neither_environment_nor_variables_nor_connections(name: str) -> None:
    endpoint = f"{{request: {{params: {{x: '{{{{ {name}.SECRET }}}}'}}}}}}"
    assert broken_rules(endpoint) == ["undefined-template-name"]


def test_a_param_taken_by_a_computed_name_counts_as_used() -> None:
    endpoint = "{request: {params: {x: '{{ params[params.which] }}'}}}"
    assert broken_rules(endpoint, "params: {which: region, region: eu}") == []


def test_windows_of_a_destination_path_are_refused_even_with_incremental() -> None:
    endpoint = (
        "{request: {params: {s: '{{ window.start }}'}}, incremental: {field: t, start: 2024-01-01},"
        ' destination: {path: "/d/{{ window.start }}"}}'
    )
    assert broken_rules(endpoint, "schedule: '@daily'") == ["undefined-template-name"]


def test_the_same_folder_in_another_store_does_not_collide() -> None:
    text = TOP.replace("/d/{{ endpoint }}", "/d") + (
        "endpoints:\n  a: {}\n  b: {destination: {conn_id: other}}\n"
    )
    assert check_text(text).problems == ()


def test_two_ways_to_one_parent_are_not_a_cycle() -> None:
    text = TOP + (
        "endpoints:\n  a: {}\n"
        '  b: {for_each: {x: a}, request: {path: "/{{ x.id }}"}}\n'
        '  c: {for_each: {x: a}, request: {path: "/{{ x.id }}"}}\n'
        '  d: {for_each: {x: b, y: c}, request: {path: "/{{ x.id }}/{{ y.id }}"}}\n'
    )
    assert check_text(text).problems == ()


def test_a_long_chain_of_parents_passes() -> None:
    chain = "".join(
        f'  e{i}: {{for_each: {{x: e{i + 1}}}, request: {{path: "/{{{{ x.id }}}}"}}}}\n'
        for i in range(400)
    )
    checked = check_text(f"{TOP}endpoints:\n{chain}  e400: {{}}\n")
    assert checked.spec is not None
    assert checked.spec.order[0] == "e400"
    assert checked.spec.order[-1] == "e0"


def test_a_pattern_that_python_only_warns_about_passes() -> None:
    rule = "{status: 503, header: {X-State: '[[a]'}, action: retry}"
    assert broken_rules(f"{{responses: [{rule}]}}") == []


BOTH = "{params: {from: '{{ window.start }}', to: '{{ window.end }}'}}"
EUROPE = "timezone: Europe/Berlin\nschedule: "


@pytest.mark.parametrize(
    ("schedule", "incremental"),
    [
        ("schedule: '@hourly'", "format: date"),
        ("schedule: '0 0,12 * * *'", "format: '%d.%m.%Y'"),
        ("schedule: '0 6 * * 1,1'\n", "format: '%H:%M'"),
        ("schedule: PT6H", "format: date"),
        ("schedule: PT20H\nstart_date: 2026-01-01T05:00", "format: date"),
        ("schedule: '@daily'", "format: '%Y-%m'"),
        ("schedule: '*/15 * * * *'", "format: '%Y-%m-%dT%HZ'"),
        ("schedule: '@weekly'", "format: date, step: PT12H"),
        ("schedule: '@daily'", "format: '%Y-%m', step: P1D"),
        ("schedule: null", "format: epoch, step: PT0.5S, without_interval: start"),
        # The day on which clocks go forward has 23 hours: at one o'clock it begins and ends on one date of UTC.
        (f"{EUROPE}'0 1 * * *'", "format: date"),
    ],
)
def test_equal_bounds_are_an_error(schedule: str, incremental: str) -> None:
    endpoint = f"{{request: {BOTH}, incremental: {{field: t, start: 2024-01-01, {incremental}}}}}"
    assert {"empty-window", "unit-vs-format"} & set(broken_rules(endpoint, schedule))


@pytest.mark.parametrize(
    ("schedule", "incremental"),
    [
        ("schedule: '@daily'", "format: date"),
        ("schedule: '30 6 * * *'", "format: date"),
        ("schedule: P1D", "format: date"),
        ("schedule: '@hourly'", "format: date, lookback: P1D"),
        ("schedule: '* * * * *'", "format: epoch"),
        ("schedule: '@monthly'", "format: '%Y-%m'"),
        ("schedule: '@once'", "format: date"),
        ("schedule: {assets: [x]}", "format: date, step: P7D, without_interval: fail"),
        ("schedule: '@daily'", "format: date, upper: inclusive, unit: P1D"),
        (f"{EUROPE}'0 0 * * *'", "format: date"),
    ],
)
def test_different_bounds_in_every_interval_pass(schedule: str, incremental: str) -> None:
    endpoint = f"{{request: {BOTH}, incremental: {{field: t, start: 2024-01-01, {incremental}}}}}"
    assert broken_rules(endpoint, schedule) == []


def test_equal_bounds_do_no_harm_where_the_lower_one_is_sent_alone() -> None:
    endpoint = (
        "{request: {params: {since: '{{ window.start | string }}'}},"
        " incremental: {field: t, start: 2024-01-01, format: date}}"
    )
    assert broken_rules(endpoint, "schedule: '@hourly'") == []


def test_an_owner_link_that_cannot_be_parsed_is_found() -> None:
    assert broken_rules(top="owner_links: {data: 'http://[half'}") == ["bad-owner-link"]


@pytest.mark.parametrize("step", ["", ", step: PT1H"])
def test_a_bad_time_format_is_reported_once_and_by_its_own_rule(step: str) -> None:
    incremental = f"{{field: at, start: 2026-01-01, format: '%Q'{step}}}"
    request = '{path: /a, params: {since: "{{ window.start }}", until: "{{ window.end }}"}}'
    top = "schedule: '@daily'\nstart_date: 2026-01-01"
    found = broken_rules(f"{{request: {request}, incremental: {incremental}}}", top)
    assert found == ["bad-time-format"]


def test_a_word_after_basic_that_is_not_base64_is_not_reported() -> None:
    assert broken_rules("{request: {path: /a, headers: {User-Agent: Basic AAAAA}}}") == []
