"""``airflow oauth presets``, run through Airflow's own parser."""

from __future__ import annotations

import json
from typing import Any

import pytest

from oauth_taskflow.presets.load import preset_names


def run(*words: str) -> None:
    """Run ``airflow oauth presets`` with ``words``."""
    from airflow.cli.cli_parser import get_parser  # noqa: PLC0415 - Airflow needs its home first

    args = get_parser().parse_args(["oauth", "presets", *words])
    args.func(args)


def rows(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def test_all_presets_are_listed_with_their_own_keys(
    airflow_home: object, capsys: pytest.CaptureFixture[str]
) -> None:
    run("--output", "json")
    listed = {row["preset"]: row for row in rows(capsys)}
    assert list(listed) == list(preset_names())
    assert listed["zoho"] == {
        "preset": "zoho",
        "provider": "Zoho",
        "verified": "2026-11",
        "own_keys": ["data_centre"],
    }


def test_a_table_shows_the_facts_of_a_preset_in_words(
    airflow_home: object, capsys: pytest.CaptureFixture[str]
) -> None:
    run("exact-online")
    shown = " ".join(capsys.readouterr().out.split())
    assert "Exact Online (verified 2026-11)" in shown
    assert "key exact_tld" in shown
    assert "not earlier than 30 s before" in shown
    assert "A refresh is refused until" in shown


def test_one_preset_as_json_is_its_file(
    airflow_home: object, capsys: pytest.CaptureFixture[str]
) -> None:
    run("Xero", "--output", "json")
    (only,) = rows(capsys)
    assert (only["preset"], only["title"]) == ("xero", "Xero")
    assert only["refresh"] == {
        "rotation": "single_use",
        "grace_s": 1800,
        "idle_lifetime_s": 5184000,
    }


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("salesfroce", "Did you mean 'salesforce'?"),
        ("Google Ads", "Did you mean 'google-ads'?"),
        ("facebook", "Did you mean 'meta'?"),
        ("zoho_crm", "Did you mean 'zoho'?"),
        ("entra", "Did you mean 'microsoft-entra' or 'microsoft-entra-v1'?"),
        ("?", "List them with: airflow oauth presets"),
    ],
)
def test_an_unknown_name_ends_with_status_2(
    airflow_home: object, capsys: pytest.CaptureFixture[str], name: str, hint: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        run(name)
    assert caught.value.code == 2
    assert capsys.readouterr().err == f"There is no preset {name!r}. {hint}\n"


def test_one_preset_as_yaml(airflow_home: object, capsys: pytest.CaptureFixture[str]) -> None:
    run("twilio", "--output", "yaml")
    assert "auth_type: basic" in capsys.readouterr().out
