"""``incremental.first_run``: merged over the endpoint and its defaults, checked as a separate endpoint."""

from __future__ import annotations

from typing import Any

import msgspec

from oauth_taskflow.api.options import CursorPaginator, LinkHeaderPaginator
from oauth_taskflow.specs.check import check_text
from oauth_taskflow.specs.defaults import merge_defaults
from oauth_taskflow.specs.model import Endpoint

HEAD = """
version: 1
dag_id: test
schedule: "@hourly"
start_date: 2024-01-01
connection: crm
"""


def first_run_of(defaults: dict[str, Any], endpoint: dict[str, Any]) -> Any:
    merged = merge_defaults({"defaults": defaults, "endpoints": {"a": endpoint}})
    return merged["endpoints"]["a"]["incremental"]["first_run"]


def test_the_first_run_is_merged_over_the_endpoint_and_null_removes() -> None:
    first = first_run_of(
        {"request": {"params": {"limit": 100}, "headers": {"A": "1"}}},
        {
            "request": {"path": "/events", "params": {"since": "x", "type": "charge.*"}},
            "records": "data[].data.object",
            "paginate": {"type": "cursor", "next": "next", "param": "after"},
            "incremental": {
                "first_run": {
                    "request": {"path": "/charges", "params": {"type": None}},
                    "records": "data",
                    "paginate": {"param": "starting_after"},
                }
            },
        },
    )
    assert first == {
        "request": {
            "path": "/charges",
            "params": {"limit": 100, "since": "x"},
            "headers": {"A": "1"},
        },
        "records": "data",
        "paginate": {"type": "cursor", "next": "next", "param": "starting_after"},
    }


def test_defaults_may_hold_a_first_run_that_the_endpoint_changes_or_removes() -> None:
    defaults = {
        "paginate": {"type": "link"},
        "incremental": {"first_run": {"request": {"params": {"since": None, "all": True}}}},
    }
    endpoint = {"request": {"params": {"since": "x"}}, "incremental": {"field": "t"}}
    assert first_run_of(defaults, endpoint) == {
        "request": {"params": {"all": True}},
        "paginate": {"type": "link"},
    }
    removed = {"request": {}, "incremental": {"first_run": None}}
    merged = merge_defaults({"defaults": defaults, "endpoints": {"a": removed, "b": None}})
    assert merged["endpoints"]["a"]["incremental"] == {}
    without = {"incremental": None}
    merged = merge_defaults({"defaults": defaults, "endpoints": {"a": without}})
    assert "incremental" not in merged["endpoints"]["a"]


def test_a_paginator_of_another_type_or_null_replaces_that_of_the_endpoint() -> None:
    paginate = {"type": "cursor", "next": "next", "param": "after"}
    other = {"first_run": {"paginate": {"type": "link"}}}
    first = first_run_of({}, {"paginate": paginate, "incremental": other})
    assert first["paginate"] == {"type": "link"}
    none = {"first_run": {"paginate": None}}
    assert "paginate" not in first_run_of({}, {"paginate": paginate, "incremental": none})


def test_wrong_shapes_stay_for_the_schema_to_refuse() -> None:
    wrongs: list[Any] = [[], "x", 5]
    for wrong in wrongs:
        first = first_run_of({}, {"incremental": {"first_run": wrong}})
        assert first == wrong


SPEC = f"""{HEAD}
defaults:
  destination: {{path: /data}}
  paginate: {{type: link}}
endpoints:
  charges:
    request:
      path: /events
      params: {{since: "{{{{ window.start }}}}", type: "charge.*"}}
    paginate: {{type: cursor, next: next, param: after}}
    incremental:
      field: created
      start: 2024-01-01
      first_run:
        request: {{path: /charges, params: {{since: null, type: null}}}}
        paginate: {{type: link}}
"""


def test_the_model_holds_the_complete_first_run() -> None:
    checked = check_text(SPEC)
    assert checked.problems == ()
    assert checked.spec is not None
    endpoint = checked.spec.endpoints["charges"]
    assert endpoint.incremental is not None
    assert isinstance(endpoint.paginate, CursorPaginator)
    first = endpoint.incremental.first_run
    assert first is not None
    assert (first.request.path, first.request.params) == ("/charges", {})
    assert isinstance(first.paginate, LinkHeaderPaginator)
    # As a mapped task gets it: plain data without defaults.
    assert msgspec.convert(msgspec.to_builtins(endpoint), Endpoint) == endpoint


def test_a_problem_of_both_runs_is_reported_once_and_one_of_the_first_alone_says_so() -> None:
    both = SPEC.replace("path: /events", "path: events").replace("path: /charges, ", "")
    problems = [str(problem) for problem in check_text(both).problems]
    assert len(problems) == 1
    assert "(in the first run)" not in problems[0]
    alone = SPEC.replace("path: /charges", "path: charges")
    (problem,) = check_text(alone).problems
    assert problem.where == "endpoints.charges.incremental.first_run.request.path"
    assert problem.message.endswith(" (in the first run)")
    inherited = SPEC.replace("type: link", "type: link, max_pages: 0")
    problems = [str(problem) for problem in check_text(inherited).problems]
    assert [problem.partition(": error: ")[2].partition(":")[0] for problem in problems] == [
        "defaults.paginate.max_pages",
        "endpoints.charges.incremental.first_run.paginate.max_pages",
    ]


def test_a_param_that_only_the_first_run_uses_is_used() -> None:
    text = SPEC.replace("connection: crm", "connection: crm\nparams: {region: eu}").replace(
        "type: null}", 'type: "{{ params.region }}"}'
    )
    assert check_text(text).problems == ()


def test_a_secret_in_the_first_run_is_found() -> None:
    text = SPEC.replace("since: null,", "api_key: hunter22,")
    (problem,) = check_text(text).problems
    assert problem.rule == "secret-literal"
    assert problem.where == "endpoints.charges.incremental.first_run.request.params.api_key"
