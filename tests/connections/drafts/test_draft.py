"""Drafts that cannot be stored are refused by key, and lines to paste work as they are."""

from __future__ import annotations

import ast
import json
import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from oauth_taskflow import secret_registry
from oauth_taskflow.connections.drafts.draft import (
    Draft,
    FieldProblem,
    WrongDraft,
    write_connection,
)
from oauth_taskflow.connections.drafts.form_key import make_own_key
from oauth_taskflow.connections.drafts.lines import write_decorator_lines, write_spec_lines
from oauth_taskflow.connections.drafts.preset_form import describe_preset, find_preset, list_choices
from oauth_taskflow.errors import ConnectionConfigError
from oauth_taskflow.presets.load import load_preset, preset_names
from oauth_taskflow.specs.check import check_text
from tests.connections.drafts.filled import filled_draft, pem
from tests.connections.test_every_key_acts import KEYS

SECRET = "s3cret-of-client"


def zendesk(values: dict[str, Any] | None = None, **fields: Any) -> Draft:
    typed = {"subdomain": "acme", "login": "client", "password": SECRET, **(values or {})}
    return Draft(
        **{"conn_id": "crm", "provider": "zendesk", "way": "application", **fields}, values=typed
    )


def problems_of(draft: Draft, own: Path | None = None) -> tuple[FieldProblem, ...]:
    with pytest.raises(WrongDraft) as caught:
        write_connection(draft, own)
    assert SECRET not in str(caught.value) + repr(caught.value.problems)
    return caught.value.problems


def test_only_what_was_typed_is_stored() -> None:
    typed = {"scope": " read ", "audience": "", "api_headers": None, "timeout": 5, "leeway": "  "}
    drafted = write_connection(zendesk(typed, description=" The shop. "))
    assert json.loads(drafted.extra) == {
        "provider": "zendesk",
        "subdomain": "acme",
        "scope": "read",
        "timeout": 5,
    }
    assert (drafted.host, drafted.login, drafted.password) == (None, "client", SECRET)
    assert (drafted.description, drafted.conn_type) == ("The shop.", "oauth2")


def test_json_that_was_typed_is_stored_as_json() -> None:
    typed = {"api_headers": '{"X-Tenant": "acme"}', "token_params": {"a": 1}}
    extra = json.loads(write_connection(zendesk(typed)).extra)
    assert extra["api_headers"] == {"X-Tenant": "acme"}
    assert extra["token_params"] == {"a": 1}


@pytest.mark.parametrize(
    ("draft", "field", "words"),
    [
        (zendesk(conn_id=""), "conn_id", "name of a connection"),
        (zendesk(conn_id="a b"), "conn_id", "name of a connection"),
        (zendesk(conn_id="../x"), "conn_id", "name of a connection"),
        (zendesk(conn_id="crm\n"), "conn_id", "name of a connection"),
        (zendesk(conn_id="x" * 201), "conn_id", "more than 200"),
        (zendesk(provider="zendes"), "provider", "no preset"),
        (zendesk(provider="../providers/zendesk"), "provider", "no preset"),
        (zendesk(way="conset"), "way", "no such way"),
        (zendesk({"subdomain": "acme/evil"}), "subdomain", "another form"),
        (zendesk({"subdomain": ["acme"]}), "subdomain", "another form"),
        (zendesk({"subdomain": ""}), "subdomain", "is missing"),
        (zendesk({"login": ""}), "login", "client id is missing"),
        (zendesk({"login": {"a": 1}}), "login", "must be text"),
        (zendesk({"password": 12345678}), "password", "must be text"),
        (zendesk({"password": f"{SECRET}\x00"}), "password", "control character"),
        (zendesk({"host": "https://x\ud800.example"}), "host", "control character"),
        (zendesk({"host": f"https://u:{SECRET}@x.example"}), "host", ""),
        (zendesk({"host": f"https://x.example/{'a' * 500}"}), "host", "more than 500"),
        (zendesk(description="x" * 5001), "description", "more than 5000"),
        (zendesk({"scop": "read"}), "scop", "Unknown field"),
        (zendesk({"api_headers": "{"}), "api_headers", "not valid JSON"),
        (zendesk({"api_headers": "[" * 100_000}), "api_headers", ""),
        (zendesk({"token_params": {"a": "x" * 60_000}}), "extra", "more than 60000"),
        (zendesk({"auth_type": "none"}), "auth_type", "decide this"),
        (zendesk({"provider": "xero"}), "provider", "decide this"),
        (zendesk({"grant_type": "jwt_bearer"}), "assertion", "missing"),
        (zendesk({"token_url": "http://evil.example/t"}), "token_url", "not an https URL"),
        (zendesk({"allowed_origins": "https://x.example/p"}), "allowed_origins", "not an origin"),
    ],
)
def test_what_is_wrong_is_said_by_key(draft: Draft, field: str, words: str) -> None:
    problems = problems_of(draft)
    assert field in {problem.field for problem in problems}
    assert words in " ".join(problem.what for problem in problems)


def test_all_problems_are_named_at_once_and_near_names_are_offered() -> None:
    problems = problems_of(zendesk({"scop": "a", "timeout": "long", "leeway": -1}))
    assert {problem.field for problem in problems} == {"scop", "timeout", "leeway"}
    (unknown,) = [problem for problem in problems if problem.field == "scop"]
    assert "scope" in unknown.hint


@pytest.mark.slow
@given(
    st.dictionaries(
        st.sampled_from([*KEYS, "host", "login", "password", "subdomain", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
            ),
            max_leaves=6,
        ),
    ),
    st.text(),
)
def test_no_draft_ends_in_anything_but_a_connection_or_a_refusal(
    values: dict[str, Any], conn_id: str
) -> None:
    with suppress(WrongDraft):
        extra = json.loads(write_connection(zendesk(values, conn_id=conn_id)).extra)
        assert not [name for name, value in extra.items() if value in (None, "", {}, [])]


def test_a_draft_is_checked_without_opening_files_and_announces_no_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # A pipe without a writer would hold the request for ever.
    missing, before = tmp_path / "missing.pem", secret_registry.list_secrets()
    typed = {
        "login": "another-client",
        "password": "",
        "private_key_file": str(missing),
        "private_key_passphrase": "opens-it",
        "key_id": "k1",
    }
    for algorithm in ("", "RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA"):
        draft = filled_draft("salesforce", "jwt_bearer", without=["private_key"])
        whole = {**draft.values, **typed, "algorithm": algorithm}
        drafted = write_connection(
            Draft(conn_id="crm", provider="salesforce", way="jwt_bearer", values=whole)
        )
        assert json.loads(drafted.extra)["private_key_file"] == str(missing)
        assert "private_key" not in json.loads(drafted.extra)
    with caplog.at_level(logging.WARNING):
        write_connection(zendesk({"host": "http://internal.example", "password": "abc"}))
    assert secret_registry.list_secrets() == before
    assert caplog.messages == []


def test_a_private_key_that_is_broken_is_not_repeated() -> None:
    broken = pem().replace("\nM", "\nX")
    draft = filled_draft("salesforce", "jwt_bearer")
    problems = problems_of(
        Draft(
            conn_id="crm",
            provider="salesforce",
            way="jwt_bearer",
            values={**draft.values, "private_key": broken},
        )
    )
    assert {problem.field for problem in problems} == {"private_key"}
    assert broken[40:80] not in repr(problems)


def test_presets_of_ones_own_are_offered_and_checked(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text(
        "title: Acme\nvariables: {tenant: {description: Name, example: north, values: [north, south]}}\n"
        "token_url: https://{tenant}.id.acme.example/t\nbase_url: https://{tenant}.acme.example\n"
        "grants: [client_credentials]\n"
    )
    (tmp_path / "wrong.yaml").write_text("title: Wrong\ntoken_url: ftp://x\n")
    (tmp_path / "taken.yaml").write_text(
        "title: Taken\nvariables: {scope: {description: S, example: s}}\n"
    )
    titles = {choice.name: choice.title for choice in list_choices(tmp_path)}
    assert titles["acme"] == "Acme"
    assert list(titles)[-1] == ""
    values = {"tenant": "north", "login": "me", "password": SECRET}
    drafted = write_connection(Draft(conn_id="a", provider="acme", values=values), tmp_path)
    assert json.loads(drafted.extra) == {"provider": "acme", "tenant": "north"}
    (key, *_) = describe_preset("acme", tmp_path).ways[0].keys
    assert (key.name, key.input, key.choices) == ("tenant", "choice", ("north", "south"))
    for name, words in (
        ("wrong", "cannot be used"),
        ("taken", "every connection has"),
        ("xy", "no"),
    ):
        with pytest.raises(ConnectionConfigError, match=words):
            find_preset(name, tmp_path)
        problems_of(Draft(conn_id="a", provider=name, values=values), tmp_path)


def test_choices_are_every_preset_with_its_title() -> None:
    titles = {choice.name: choice.title for choice in list_choices() if choice.name}
    assert titles == {name: load_preset(name).title for name in preset_names()}


def test_own_keys_say_what_they_mean_and_what_applies_without_them() -> None:
    key = make_own_key("domain", load_preset("salesforce").variables["domain"])
    assert (key.default, key.placeholder, key.is_required) == ("login", "acme.my", False)
    assert "My Domain" in key.help
    assert "Default" not in key.help  # the field shows it
    hidden = make_own_key("developer_token", load_preset("google-ads").variables["developer_token"])
    assert hidden.is_hidden


@pytest.mark.parametrize(
    "conn_id",
    [
        *("crm", "acme.prod-2", "7", "Ümläut", "null", "1e3", "a-b", "yes"),
        *('a"b', "a\\", 'x")\nimport os\n("', "a\x85b", "😀"),
    ],
)
def test_lines_to_paste_are_whole_and_right(conn_id: str) -> None:
    tree = ast.parse(write_decorator_lines(conn_id))
    assert f"conn_id={conn_id!r}" in ast.unparse(tree)
    assert len(tree.body) == 4
    assert check_text(write_spec_lines(conn_id)).problems == ()
    assert yaml.safe_load(write_spec_lines(conn_id))["connection"] == conn_id
