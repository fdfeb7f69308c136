"""The metadata for Airflow's provider registry (entry point ``apache_airflow_provider``).

Every ``airflow`` process loads this at its start: it is data, built from tables, and imports nothing heavy.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from oauth_taskflow.connections.fields.form import FORM
from oauth_taskflow.connections.fields.table import BY_NAME
from oauth_taskflow.presets.titles import read_titles
from oauth_taskflow.taskflow.processes.worker_forks import preload_before_fork

_INTEGRATION = "OAuth 2.0"
_HOOK = "oauth_taskflow.taskflow.http.hook"

# The options of ``[oauth_taskflow]`` in Airflow's configuration.
_OPTIONS: dict[str, dict[str, Any]] = {
    "token_store": {
        "description": (
            "SQLAlchemy URL of the token store. Empty: a SQLite file, $AIRFLOW_HOME/oauth_taskflow.db, which "
            "serves one machine. Under Celery, Kubernetes or Edge executors, name a PostgreSQL or MySQL "
            "database that all workers reach. Tokens are encrypted with [core] fernet_key."
        ),
        "version_added": "0.1.0",
        "type": "string",
        "sensitive": True,
        "example": "postgresql+psycopg://airflow@db.example.com/oauth_tokens",
        "default": "",
    },
    "budget_store": {
        "description": (
            "SQLAlchemy URL of the database that keeps request budgets, if it is not the token store. It holds no "
            "secrets. Empty: the token store; in broker mode tasks ask the API server, which opens it."
        ),
        "version_added": "0.2.0",
        "type": "string",
        "sensitive": True,
        "example": "postgresql+psycopg://budgets@db.example.com/budgets",
        "default": "",
    },
    "watermark_store": {
        "description": (
            "SQLAlchemy URL of the database for stored watermarks (incremental.by: watermark), which hold no secrets. "
            "Empty: that of token_store; in broker mode tasks ask the API server, which opens it."
        ),
        "version_added": "0.2.0",
        "type": "string",
        "sensitive": True,
        "example": "postgresql+psycopg://airflow@db.example.com/watermarks",
        "default": "",
    },
    "destination_root": {
        "description": (
            "What relative paths of spec destinations are below: the URL of an object store, or an absolute folder. "
            "Empty: $AIRFLOW_HOME. Under Celery, Kubernetes or Edge executors, name a place that all workers share."
        ),
        "version_added": "0.1.0",
        "type": "string",
        "example": "s3://aws_default@lake/raw",
        "default": "",
    },
    "longest_wait": {
        "description": (
            "Seconds that the task of a spec's endpoint waits with its worker slot when the API or a budget names a "
            "wait. A longer one frees the slot: the task is rescheduled, and goes on after its last page."
        ),
        "version_added": "0.2.0",
        "type": "float",
        "example": "60",
        "default": "60",
    },
    "spec_cache": {
        "description": (
            "Absolute path of a folder, used by one user, in which load_specs keeps checked specs, so that files that "
            "have not changed are not parsed and checked again. Empty: they are. For folders of more than a thousand specs."
        ),
        "version_added": "0.2.0",
        "type": "string",
        "example": "/opt/airflow/spec_cache",
        "default": "",
    },
    "presets_folder": {
        "description": (
            "Absolute path of a folder with provider presets of your own, one YAML file each; one "
            "with the name of a preset of the package replaces it. It must be on every machine that runs tasks."
        ),
        "version_added": "0.1.0",
        "type": "string",
        "example": "/opt/airflow/presets",
        "default": "",
    },
    "hash_key": {
        "description": (
            "Key under which fields.hash of specs replaces personal data: a random text of at least 16 characters, "
            "the same on every machine that runs tasks. Another key gives other hashes. Never a Fernet key."
        ),
        "version_added": "0.2.0",
        "type": "string",
        "sensitive": True,
        "example": "a long random text",
        "default": "",
    },
    "schema_notifier": {
        "description": (
            "Dotted path of a function, or an Airflow notifier (a class without arguments, or an instance), that is called with "
            "the task's context when the schema of an endpoint with a contract changed; its schema_drift lists the changes."
        ),
        "version_added": "0.2.0",
        "type": "string",
        "example": "my_company.alerts.SchemaNotifier",
        "default": "",
    },
    "page_test": {
        "description": (
            "Whether users who may change a connection may try it on the page OAuth (Test): the API server then sends a "
            "token request, or one request to the API. False hides the action and refuses it."
        ),
        "version_added": "0.2.0",
        "type": "boolean",
        "example": "False",
        "default": "True",
    },
    "write_back_conn_id": {
        "description": (
            "Connection to Airflow's own REST API (auth_type session), through which a task writes rotated refresh "
            "tokens back to connections with write_back. Not needed in broker mode."
        ),
        "version_added": "0.1.0",
        "type": "string",
        "example": "airflow_api",
        "default": "",
    },
}


def get_provider_info() -> dict[str, Any]:
    """The provider metadata: connection types, decorators, CLI and configuration."""
    preload_before_fork()
    return {
        "package-name": "oauth-taskflow",
        "name": "OAuth TaskFlow",
        "description": "OAuth-protected REST APIs in Airflow.",
        "integrations": [{"integration-name": _INTEGRATION, "tags": ["protocol"]}],
        "hooks": _modules("http.hook"),
        "operators": _modules("http.operator"),
        "sensors": _modules("http.sensor"),
        "triggers": _modules("http.triggers"),
        "connection-types": [_connection_type()],
        "task-decorators": [
            {"name": "oauth", "class-name": "oauth_taskflow.taskflow.decorator.oauth_task"}
        ],
        "notifications": ["oauth_taskflow.taskflow.notices.notifier.OAuthNotifier"],
        "secrets-backends": ["oauth_taskflow.taskflow.secrets_backend.OAuthBroker"],
        "config": {"oauth_taskflow": _config()},
        "cli": ["oauth_taskflow.taskflow.cli.commands.get_cli_commands"],
    }


def _modules(name: str) -> list[dict[str, Any]]:
    module = f"oauth_taskflow.taskflow.{name}"
    return [{"integration-name": _INTEGRATION, "python-modules": [module]}]


def _connection_type() -> dict[str, Any]:
    return {
        "connection-type": "oauth2",
        "hook-name": "OAuth 2.0",
        "hook-class-name": f"{_HOOK}.OAuth2Hook",
        "ui-field-behaviour": {
            "hidden-fields": ["schema", "port"],
            "relabeling": {
                "host": "API base URL",
                "login": "Client ID (or user name)",
                "password": "Client secret (or token, key, password)",
            },
            "placeholders": {
                "host": "https://api.example.com/v3",
                "login": "client id of the registered application",
            },
        },
        "conn-fields": _form_fields(),
    }


def _form_fields() -> dict[str, dict[str, Any]]:
    """Returns the fields in the form of Airflow's provider metadata (``conn-fields``).

    The UI shows one group per ``section``, as in the form of a DAG's params.
    """
    fields = {}
    for section, names in FORM.items():
        for name in names:
            fields[name] = BY_NAME[name].form_field()
            fields[name]["schema"]["section"] = section
    # A closed list, in which people search by title or name; the form stores the name.
    titles = read_titles(*_own_presets())
    fields["provider"]["schema"] |= {"enum": list(titles), "values_display": titles}
    return fields


def _own_presets() -> list[Path]:
    """Returns the folder of presets that an environment variable names.

    Airflow's configuration cannot be asked here: it reads this metadata itself.
    """
    folder = Path(os.environ.get("AIRFLOW__OAUTH_TASKFLOW__PRESETS_FOLDER", ""))
    return [folder] if folder.is_absolute() and folder.is_dir() else []


def _config() -> dict[str, Any]:
    return {
        "description": "Where OAuth tokens, request budgets, stored watermarks and provider presets are, and how long tasks wait.",
        "options": _OPTIONS,
    }
