"""Every preset file: its shape, its places and what it may not contradict."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import jmespath
import jsonschema
import pytest
from msgspec.structs import replace

from oauth_taskflow.api.origins import Origin
from oauth_taskflow.oauth.client_auth import CLIENT_AUTH_METHODS
from oauth_taskflow.presets.fill import fill
from oauth_taskflow.presets.load import load_preset, preset_names
from oauth_taskflow.presets.model import Preset, RefreshRules
from oauth_taskflow.presets.schema import preset_schema
from oauth_taskflow.presets.titles import FOLDER, list_files
from oauth_taskflow.specs.yaml_reader import load_text
from tests.presets.places import places_of

# Filled when the connection is read: its two fields, and the name of its key.
OF_THE_CONNECTION = ("login", "password", "public_key_sha256")
NAMES = preset_names()
# The providers whose behaviour was surveyed: each has a preset.
SURVEYED = [
    "salesforce",
    "hubspot",
    "xero",
    "quickbooks",
    "zoho",
    "google",
    "microsoft-entra",
    "slack",
    "github",
    "gitlab",
    "shopify",
    "zoom-server-to-server",
    "amazon-sp-api",
    "linkedin",
    "fitbit",
    "strava",
    "spotify",
    "box",
    "docusign",
    "okta",
    "auth0",
    "keycloak",
    "snowflake",
    "netsuite",
    "atlassian",
    "notion",
    "dropbox",
    "airtable",
    "square",
    "x",
    "tiktok",
    "pinterest",
    "ebay",
    "fedex",
    "ups",
    "marketo",
    "workday",
    "databricks",
    "zendesk",
    "calendly",
    "outreach",
    "pipedrive",
    "linear",
    "gong",
    "exact-online",
    "coinbase",
    "smartcar",
]
HEADER = "# yaml-language-server: $schema=../preset.schema.json\n"


def examples(preset: Preset) -> dict[str, str]:
    """A connection's keys as people have them."""
    return {name: variable.example for name, variable in preset.variables.items()}


def fill_with_examples(name: str) -> Preset:
    preset = load_preset(name)
    return fill(preset, {**examples(preset), "client_id": "me"})


def paths(preset: Preset) -> Iterator[str]:
    form = preset.response
    yield from (form.access_token, form.refresh_token)
    some = (form.success, form.error, form.error_description, form.expiry.path)
    yield from (path for path in (*some, preset.refresh.lifetime_path) if path)
    if preset.base_url_from is not None:
        yield preset.base_url_from.path
    # At run time a rule whose predicate is not JMESPath would just never match.
    yield from (rule.when for rule in preset.api_responses if rule.when)
    yield from filter(None, [preset.revoke.success])


def test_there_are_at_least_60_and_every_surveyed_provider_is_among_them() -> None:
    assert len(NAMES) >= 60
    assert sorted(set(SURVEYED) - set(NAMES)) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_verified_preset_names_its_sources(name: str) -> None:
    preset = load_preset(name)
    assert preset.sources or preset.verified is None
    assert len(set(preset.sources)) == len(preset.sources)


def test_every_property_of_the_schema_is_described_with_an_example() -> None:
    schema = preset_schema()
    tables = [schema, *schema["$defs"].values()]
    properties = {name: p for table in tables for name, p in table["properties"].items()}
    assert [n for n, p in properties.items() if not (p["description"] and p["examples"])] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_file_fits_the_schema_that_its_first_line_names(name: str) -> None:
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    document = load_text(text, name)
    assert document.problems == []
    jsonschema.Draft202012Validator(preset_schema()).validate(document.data)
    assert text.startswith(HEADER)


@pytest.mark.parametrize("name", NAMES)
def test_its_places_are_its_variables_and_their_examples_fill_them(name: str) -> None:
    preset = load_preset(name)
    assert places_of(preset) - {"client_id", *OF_THE_CONNECTION} == set(preset.variables)
    assert places_of(fill_with_examples(name)) <= set(OF_THE_CONNECTION)


@pytest.mark.parametrize("name", NAMES)
def test_its_urls_are_https_once_they_are_filled(name: str) -> None:
    preset = fill_with_examples(name)
    urls = (preset.token_url, preset.authorize_url, preset.revoke.url, preset.device_url)
    others = (preset.introspect_url, preset.base_url, preset.request.refresh_url)
    for url in (*urls, *others):
        assert url is None or Origin.parse(url).scheme == "https"
    assert preset.token_url or preset.auth_type != "oauth2"


@pytest.mark.parametrize("name", NAMES)
def test_its_paths_are_jmespath(name: str) -> None:
    for path in paths(load_preset(name)):
        jmespath.compile(path)


@pytest.mark.parametrize("name", NAMES)
def test_it_does_not_contradict_itself(name: str) -> None:
    preset = load_preset(name)
    assert preset.request.method == "POST" or preset.body == "query"
    expiry = preset.response.expiry
    assert expiry.source != "fixed" or expiry.lifetime_s
    assert expiry.source != "introspection" or preset.introspect_url
    assert not (preset.base_url and preset.base_url_from)
    assert preset.refresh.grace_s == 0 or preset.refresh.rotation in {"single_use", "unknown"}
    assert preset.client_auth[0] in CLIENT_AUTH_METHODS
    # Ending a pull or skipping a page is up to a spec to say; a rule without a predicate would catch other errors too.
    assert {rule.action for rule in preset.api_responses} <= {"refresh", "rate_limit", "retry"}
    assert all(rule.status and rule.when for rule in preset.api_responses)
    if "authorization_code" in preset.grants:
        assert preset.authorize_url or name == "workday"
    assert bool(preset.device_url) == ("device_code" in preset.grants)


def test_a_name_that_leads_out_of_the_folder_is_not_a_preset() -> None:
    for name in ("../preset.schema", "nothing", ""):
        with pytest.raises(KeyError):
            load_preset(name)


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("google", math.inf),
        ("microsoft-entra", math.inf),
        ("xero", 1800),
        ("atlassian", 600),
        ("smartcar", 60),
        ("okta", 30),
        ("auth0", 0),
        ("box", 0),
        ("calendly", 0),
        ("cognito", 0),
        ("github", 0),
        ("gitlab", 0),
        ("salesforce", 0),
        ("snowflake", 0),
        ("zendesk", 0),
    ],
)
def test_a_refresh_token_is_sent_again_as_long_as_its_provider_takes_it(
    name: str, seconds: float
) -> None:
    assert load_preset(name).resend_window_s == seconds


def test_unverified_presets_never_allow_resending_a_refresh_token() -> None:
    hearsay = Preset(title="T", refresh=RefreshRules(rotation="none"))
    assert hearsay.resend_window_s == 0
    assert replace(hearsay, verified="2026-11").resend_window_s == math.inf


def test_files_of_an_own_folder_are_seen_at_once_and_only_when_it_is_named(tmp_path: Path) -> None:
    for name in ("first", "Second"):
        (tmp_path / f"{name}.yaml").touch()
        assert list_files(tmp_path)[name.lower()] == tmp_path / f"{name}.yaml"
    assert len(list_files(tmp_path)) == len(list_files()) + 2
