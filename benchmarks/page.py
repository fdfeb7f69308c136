"""The list of the page OAuth: 500 connections, 2,000 stored grants and 200 DAGs, as the API server answers and Chromium shows it.

Printed are the first answer of a process that has started, which decrypts everything, and the later ones, which decrypt what
changed. Next to them: as many decryptions as a list without memory makes each time; then what fifty open pages cost the server, with and
without a shared reading; then the time from the end of the answer to the first row in Chromium. The goals are 300 ms for an
answer and 1 s for the first row.

Usage: .venv/bin/python benchmarks/page.py [--connections 500] [--grants 2000] [--dags 200] [--rounds 20] [--seconds 20]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from cryptography.fernet import Fernet

_CHILDREN = ("page_child.py", "page_browser_child.py")


def configure(home: str) -> dict[str, str]:
    """The variables of an Airflow of its own in ``home``."""
    return {
        **os.environ,
        "AIRFLOW_HOME": home,
        "AIRFLOW__API_AUTH__JWT_SECRET": "benchmark " * 8,
        "AIRFLOW__API__SECRET_KEY": "benchmark",
        "AIRFLOW__CORE__FERNET_KEY": Fernet.generate_key().decode(),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "AIRFLOW__OAUTH_TASKFLOW__TOKEN_STORE": f"sqlite:///{home}/tokens.db",
        "_AIRFLOW_PROCESS_CONTEXT": "server",
    }


def main() -> None:
    """Runs the measurements in processes of their own, one after the other, on the same data."""
    with tempfile.TemporaryDirectory() as home:
        environment = configure(home)
        for name in _CHILDREN:
            command = [sys.executable, str(Path(__file__).with_name(name)), *sys.argv[1:]]
            if status := subprocess.run(command, env=environment, check=False).returncode:
                sys.exit(status)


if __name__ == "__main__":
    main()
