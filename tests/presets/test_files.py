"""Every preset file: its shape, its places and what it may not contradict."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, get_args, get_type_hints

import jsonschema
import msgspec
import pytest
from msgspec import Struct
from msgspec.structs import replace

from oauth_taskflow.api.origins import Origin
from oauth_taskflow.oauth.client_auth import CLIENT_AUTH_METHODS
from oauth_taskflow.presets.fill import fill
from oauth_taskflow.presets.flaws import find_preset_flaw, list_paths
from oauth_taskflow.presets.load import BadPreset, load_preset, preset_names
from oauth_taskflow.presets.model import Preset, RefreshRules
from oauth_taskflow.presets.schema import preset_schema
from oauth_taskflow.presets.titles import FOLDER, list_files
from oauth_taskflow.schema.types import JmesPath
from oauth_taskflow.specs.yaml_reader import load_text
from tests.presets.places import places_of

# Filled when the connection is read: its two fields, and the name of its key.
OF_THE_CONNECTION = ("login", "password", "public_key_sha256")
NAMES = preset_names()
VALIDATOR = jsonschema.Draft202012Validator(preset_schema())
JMES_PATH = JmesPath.__metadata__[0]  # type: ignore[attr-defined]  # of an annotated type
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
    VALIDATOR.validate(document.data)
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
def test_it_says_nothing_that_can_never_work(name: str) -> None:
    assert find_preset_flaw(load_preset(name)) is None


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


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("response: {access_token: 'data['}", "response.access_token: not a JMESPath: "),
        ("response: {success: containz(@)}", "response.success: this JMESPath always fails: "),
        ("response: {error: length()}", "response.error: this JMESPath always fails: "),
        ("response: {refresh_token: a b}", "response.refresh_token: not a JMESPath: "),
        ("response: {error_description: a b}", "response.error_description: not a JMESPath: "),
        ("response: {expiry: {path: a b}}", "response.expiry.path: not a JMESPath: "),
        ("revoke: {success: a b}", "revoke.success: not a JMESPath: "),
        ("refresh: {lifetime_path: a b}", "refresh.lifetime_path: not a JMESPath: "),
        ("base_url_from: {path: a b, hosts: [a.example]}", "base_url_from.path: not a JMESPath: "),
        (
            'api_responses: [{status: 403, when: "size(@) > `1`", action: refresh}]',
            "api_responses[0].when: this JMESPath always fails: there is no function size().",
        ),
        (
            "api_responses: [{status: 403, header: {X-A: '*off'}, action: refresh}]",
            "api_responses[0].header.X-A: not a regular expression: nothing to repeat",
        ),
        (
            "api_responses: [{status: 403, when_text: '(a+)+b', action: refresh}]",
            "api_responses[0].when_text: a repetition within another one",
        ),
        (
            "api_responses: [{status: 403, action: retry, wait: P400Y}]",
            "api_responses[0].wait: not an ISO 8601 duration up to a hundred years; write PT30S",
        ),
        (
            "variables: {tenant: {description: a, example: b, pattern: '('}}",
            "variables.tenant.pattern: not a regular expression: missing )",
        ),
    ],
)
def test_a_preset_of_an_own_folder_that_can_never_work_is_refused(
    tmp_path: Path, line: str, problem: str
) -> None:
    (tmp_path / "acme.yaml").write_text(f"title: Acme\ntoken_url: https://id.example/t\n{line}\n")
    with pytest.raises(BadPreset) as caught:
        load_preset("acme", tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'acme.yaml'}: {problem}")


def count_paths(kind: Any, seen: set[Any]) -> int:
    """Returns the number of options below ``kind`` that are JMESPaths; those of a type count once."""
    if getattr(kind, "__metadata__", ()) and JMES_PATH in kind.__metadata__:
        return 1
    if isinstance(kind, type) and issubclass(kind, Struct) and kind not in seen:
        seen.add(kind)
        return sum(
            count_paths(each, seen) for each in get_type_hints(kind, None, None, True).values()
        )
    inner = [kind.__origin__] if hasattr(kind, "__metadata__") else get_args(kind)
    return sum(count_paths(each, seen) for each in inner)


def test_every_path_of_the_format_is_looked_at() -> None:
    given = {
        "title": "Acme",
        "response": {
            **dict.fromkeys(("access_token", "refresh_token", "success"), "a"),
            **dict.fromkeys(("error", "error_description"), "a"),
            "expiry": {"path": "a"},
        },
        "revoke": {"success": "a"},
        "refresh": {"lifetime_path": "a"},
        "base_url_from": {"path": "a", "hosts": ["a.example"]},
        "api_responses": [{"status": 403, "when": "a", "action": "refresh"}],
    }
    found = list(list_paths(msgspec.convert(given, Preset)))
    assert len(found) == count_paths(Preset, set())
