"""The provider metadata, as Airflow itself reads it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from airflow.providers_manager import ProvidersManager
from airflow.sdk import task
from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

from oauth_taskflow.connections.fields.form import FORM
from oauth_taskflow.connections.fields.table import FIELDS, PLANNED
from oauth_taskflow.presets.load import load_preset, preset_names
from oauth_taskflow.taskflow.decorator import oauth_task
from oauth_taskflow.taskflow.http.hook import OAuth2Hook
from oauth_taskflow.taskflow.provider_info import get_provider_info


@pytest.fixture(scope="module")
def connection_type() -> dict[str, Any]:
    """The metadata of our connection type."""
    (only,) = get_provider_info()["connection-types"]
    return dict(only)


def airflow_schema(name: str) -> Any:
    return json.loads(files("airflow").joinpath(name).read_text(encoding="utf-8"))


def test_provider_info_fits_airflows_runtime_schema() -> None:
    # task-decorators are read by "class-name", while the schema of 3.3 still calls it "path".
    info = get_provider_info()
    for decorator in info["task-decorators"]:
        decorator["path"] = decorator["class-name"]
    jsonschema.validate(info, airflow_schema("provider_info.schema.json"))


def test_connection_form_fits_airflows_provider_schema(connection_type: dict[str, Any]) -> None:
    types = airflow_schema("provider.yaml.schema.json")["properties"]["connection-types"]
    jsonschema.validate([connection_type], types)
    broken = {**connection_type, "conn-fields": {"scope": {"label": 1}}}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate([broken], types)


def test_airflow_finds_the_connection_type_its_hook_and_its_form() -> None:
    runtime: Any = ProvidersManagerTaskRuntime
    manager: Any = ProvidersManager
    hook = runtime().hooks["oauth2"]
    assert hook is not None
    assert hook.hook_class_name == "oauth_taskflow.taskflow.http.hook.OAuth2Hook"
    assert hook.connection_id_attribute_name == OAuth2Hook.conn_name_attr
    assert "oauth-taskflow" in manager().providers


def test_airflows_ui_gets_the_form() -> None:
    from airflow.api_fastapi.core_api.services.ui.connections import (  # noqa: PLC0415 - FastAPI loads once home is set
        HookMetaService,
    )

    (ours,) = [
        meta for meta in HookMetaService.hook_meta_data() if meta.connection_type == "oauth2"
    ]
    shown = ours.model_dump()
    assert list(shown["extra_fields"]) == [name for names in FORM.values() for name in names]
    assert shown["extra_fields"]["scope"]["schema"]["section"] == "OAuth 2.0"
    assert shown["extra_fields"]["provider"]["schema"]["values_display"]["zendesk"] == "Zendesk"
    # Airflow shows a default of a field that sounds secret as ***, and would store that.
    assert {field["value"] for field in shown["extra_fields"].values()} == {None}
    assert shown["extra_fields"]["refresh_token"]["schema"]["format"] == "password"
    assert shown["standard_fields"]["host"]["title"] == "API base URL"
    assert shown["standard_fields"]["port"]["hidden"]


def test_the_form_shows_what_a_first_connection_needs_and_hides_what_is_secret(
    connection_type: dict[str, Any],
) -> None:
    form = connection_type["conn-fields"]
    assert len(form) <= 15
    assert list(form) == [name for names in FORM.values() for name in names]
    assert {name: field["schema"]["section"] for name, field in form.items()} == {
        name: section for section, names in FORM.items() for name in names
    }
    assert form["refresh_token"]["schema"] == {
        "type": ["string", "null"],
        "format": "password",
        "section": "Consent of a person",
    }
    assert form["client_auth"]["schema"]["examples"] == [
        "client_secret_basic",
        "client_secret_basic_raw",
        "client_secret_post",
        "client_secret_jwt",
        "private_key_jwt",
        "private_key_jwt_header",
        "client_assertion",
        "tls_client_auth",
        "self_signed_tls_client_auth",
        "none",
        "unauthenticated",
    ]
    assert all(field["label"] and field["description"] for field in form.values())


def test_providers_are_a_list_of_choices_with_their_titles(
    connection_type: dict[str, Any],
) -> None:
    schema = connection_type["conn-fields"]["provider"]["schema"]
    assert set(schema["enum"]) == set(preset_names())
    assert schema["values_display"] == {name: load_preset(name).title for name in schema["enum"]}
    titles = [schema["values_display"][name] for name in schema["enum"]]
    assert titles == sorted(titles, key=str.casefold)
    assert len(set(titles)) == len(titles)


def test_presets_of_a_folder_of_ones_own_are_choices_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "acme.yaml").write_text('title: "Acme: the shop"\ntoken_url: https://a.example/t\n')
    (tmp_path / "xero.yaml").write_text("{title: Xero of ours}\n")
    (tmp_path / "broken.yaml").mkdir()
    variable = "AIRFLOW__OAUTH_TASKFLOW__PRESETS_FOLDER"
    monkeypatch.setenv(variable, str(tmp_path))
    shown = provider_choices()
    assert (shown["acme"], shown["xero"], shown["broken"]) == ("Acme: the shop", "xero", "broken")
    for elsewhere in ("presets", str(tmp_path / "missing"), ""):
        monkeypatch.setenv(variable, elsewhere)
        assert set(provider_choices()) == set(preset_names())


def provider_choices() -> dict[str, str]:
    (connection_type,) = get_provider_info()["connection-types"]
    return dict(connection_type["conn-fields"]["provider"]["schema"]["values_display"])


def test_the_form_stores_nothing_that_was_not_typed(connection_type: dict[str, Any]) -> None:
    # A default of one kind of authentication would be refused by the others.
    assert not [
        name
        for name, field in connection_type["conn-fields"].items()
        if "default" in field["schema"]
    ]


def test_schema_and_port_are_hidden_because_the_host_is_a_whole_url(
    connection_type: dict[str, Any],
) -> None:
    behaviour = connection_type["ui-field-behaviour"]
    assert behaviour["hidden-fields"] == ["schema", "port"]
    assert behaviour["placeholders"]["host"] == "https://api.example.com/v3"


def test_task_oauth_is_the_oauth_task_decorator() -> None:
    assert task.oauth is oauth_task


def test_no_key_is_both_known_and_planned() -> None:
    assert not {field.name for field in FIELDS} & set(PLANNED)


def test_the_token_store_option_is_known_to_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.configuration import conf  # noqa: PLC0415 - needs Airflow's home first

    monkeypatch.delenv("AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE")
    assert conf.get("oauth_taskflow", "token_store") == ""
    assert ("oauth_taskflow", "token_store") in conf.sensitive_config_values


def test_provider_metadata_loads_neither_airflow_nor_requests() -> None:
    code = (
        "import sys; from oauth_taskflow.taskflow.provider_info import get_provider_info as g; g();"
        "print(sorted({'airflow', 'requests', 'sqlalchemy'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_every_field_is_in_the_manual() -> None:
    manual = files("oauth_taskflow").joinpath("../docs/connections.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`([a-z_]+)`", manual))
    assert {field.name for field in FIELDS} | set(PLANNED) <= documented


def test_the_manual_says_which_fields_the_form_shows() -> None:
    manual = files("oauth_taskflow").joinpath("../docs/connections.md").read_text(encoding="utf-8")
    _, _, rest = manual.partition("### In the form")
    table, _, _ = rest.partition("\n#")
    rows = [line.split("|") for line in table.splitlines() if "`" in line and "|" in line]
    shown = {row[1].strip(): tuple(re.findall(r"`([a-z_]+)`", row[2])) for row in rows}
    assert shown == dict(FORM)
