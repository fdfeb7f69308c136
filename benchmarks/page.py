"""The list of the page OAuth: 500 connections, 2,000 stored grants and 200 DAGs, as the API server answers it.

Printed are the first answer of a process, which decrypts everything, and the later ones, which decrypt what changed. Beside
them: as many decryptions as a list without memory makes each time. The goal is 300 ms for an answer.

Usage: .venv/bin/python benchmarks/page.py [--connections 500] [--grants 2000] [--dags 200] [--rounds 20]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from cryptography.fernet import Fernet

_CHILD = Path(__file__).with_name("page_child.py")


def configure(home: str) -> dict[str, str]:
    """The variables of an Airflow of its own in ``home``."""
    return {
        **os.environ,
        "AIRFLOW_HOME": home,
        "AIRFLOW__API_AUTH__JWT_SECRET": "benchmark " * 8,
        "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE": f"sqlite:///{home}/tokens.db",
        "_AIRFLOW_PROCESS_CONTEXT": "server",
    }


def main() -> None:
    """Runs the measurement in a process of its own."""
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, str(_CHILD), *sys.argv[1:]]
        sys.exit(subprocess.run(command, env=configure(home), check=False).returncode)


if __name__ == "__main__":
    main()
