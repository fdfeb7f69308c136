"""Presets in words."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from oauth_taskflow.presets.load import load_preset, preset_names
from oauth_taskflow.presets.model import Variable
from oauth_taskflow.presets.page import facts, providers_page, variable_text

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "providers.md").read_text(encoding="utf-8")


def test_every_preset_has_a_section_with_its_notes_and_keys() -> None:
    for name in preset_names():
        preset = load_preset(name)
        assert f'<a id="{name}"></a>\n\n## {preset.title}\n' in PAGE
        assert [note for note in preset.notes if f"- {note}" not in PAGE] == []
        assert [key for key in preset.variables if f"| `{key}` |" not in PAGE] == []


def test_the_committed_page_is_the_generated_one() -> None:
    assert "\n".join(providers_page()) + "\n" == PAGE


def test_defaults_of_a_preset_are_left_out_of_its_page() -> None:
    assert facts(load_preset("twilio")) == {
        "API": "https://api.twilio.com",
        "Client authentication": "none: HTTP Basic on every API call",
    }


def test_every_quirk_is_described() -> None:
    reported = facts(load_preset("tiktok-ads"))
    assert reported["Token request"] == (
        "POST, parameters as json; client_id is called app_id; client_secret is called secret; "
        "code is called auth_code; without grant_type"
    )
    assert reported["Answer"] == (
        "the token is data.access_token; it is a token when code == `0`; the error is code; "
        "40105 is invalid_grant"
    )
    assert reported["Token on API calls"] == "Access-Token: {token}"
    assert "Refresh" not in reported


def test_the_rules_of_a_refresh_are_described() -> None:
    assert facts(load_preset("atlassian"))["Refresh"] == (
        "each refresh brings a new refresh token; the old one dies; a spent one works for 600 s more"
    )
    assert facts(load_preset("atlassian"))["Refresh tokens live"] == (
        "90 days unused; 365 days in all"
    )
    assert facts(load_preset("github"))["Refresh"].endswith("the old access token dies at once")
    assert facts(load_preset("zoho"))["API"].startswith("api_domain of the token response, on www")


def test_the_response_rules_of_an_api_are_described() -> None:
    assert facts(load_preset("github"))["API answers"] == (
        "403 or 429 with contains(message, 'secondary rate limit'): a limit is used up, for PT1M"
    )
    assert facts(load_preset("amazon-sp-api"))["API answers"].endswith(": the token has ended")


def test_a_key_is_described_with_its_values_default_or_example() -> None:
    region = Variable(description="Region", example="eu")
    assert variable_text(region) == "Region. As in eu."
    optional = replace(region, default="")
    assert variable_text(optional) == "Region. As in eu. May be left out."
    listed = replace(region, values=("eu", ""), default="eu")
    assert variable_text(listed) == "Region. One of eu, nothing. Default eu."
