"""The documentation of a task: the endpoint's YAML, without secrets, of a size that Airflow bears."""

from __future__ import annotations

from typing import Any

import yaml

from oauth_taskflow.taskflow.dags.task_doc import MOST_SHOWN, describe_endpoint


def shown(options: dict[str, Any], connection: str | None = "crm") -> dict[str, Any]:
    text = describe_endpoint(options, connection).partition("```yaml\n")[2].partition("```")[0]
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def test_the_description_comes_first_and_the_connection_is_that_of_the_spec() -> None:
    options = {"description": "People *with* a name.", "request": {"path": "/contacts"}}
    assert describe_endpoint(options, "crm") == (
        "People *with* a name.\n\n```yaml\nrequest:\n  path: /contacts\nconnection: crm\n```\n"
    )
    assert shown({"connection": "own"}) == {"connection": "own"}
    assert shown({"request": {"path": "/x"}}, None) == {"request": {"path": "/x"}}


def test_literals_under_names_of_secrets_are_hidden_everywhere_in_requests() -> None:
    request: dict[str, Any] = {
        "path": "/x",
        "headers": {"X-Api-Key": "hush", "Accept": "text/csv"},
        "params": {"api_key": "hush", "key": "US", "token": "{{ params.t }}", "none": ""},
        "json": {"auth": [{"password": "hush", "user": "me"}]},
        "form": {"client_secret": "hush"},
    }
    found = shown({"request": request, "incremental": {"first_run": {"request": request}}})
    assert "hush" not in str(found)
    assert found["incremental"]["first_run"]["request"] == found["request"]
    assert found["request"]["params"] == {
        "api_key": "***",
        "key": "US",
        "token": "{{ params.t }}",
        "none": "",
    }
    assert found["request"]["json"] == {"auth": [{"password": "***", "user": "me"}]}
    assert request["headers"]["X-Api-Key"] == "hush", "what is given stays as it is"


def test_a_long_yaml_is_cut_at_a_line_and_each_change_of_the_rest_shows() -> None:
    values = {"for_each": {f"name{n}": [f"value {n}"] for n in range(5000)}}
    first = describe_endpoint(values, "crm")
    assert len(first) < MOST_SHOWN + 200
    assert "lines more; SHA-256 of the whole: " in first
    assert first.endswith("\n```\n")
    values["for_each"]["name4999"] = ["another"]
    assert describe_endpoint(values, "crm") != first


def test_one_line_that_is_too_long_is_left_out_whole() -> None:
    text = describe_endpoint({"for_each": {"id": list(range(100_000))}}, None)
    assert text.startswith("```yaml\nfor_each:\n# 1 lines more; SHA-256")
    assert len(text) < 200
