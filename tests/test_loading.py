"""What importing costs: which libraries and rooms are loaded, and when."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_nothing_outside_taskflow_loads_airflow_or_at_parse_time_requests() -> None:
    script = (
        "import importlib, pkgutil, sys, oauth_taskflow\n"
        "skipped = ('oauth_taskflow.taskflow', 'oauth_taskflow.testing')\n"
        "for found in pkgutil.walk_packages(oauth_taskflow.__path__, 'oauth_taskflow.'):\n"
        "    if found.name.startswith(skipped): continue\n"
        "    try: importlib.import_module(found.name)\n"
        "    except ModuleNotFoundError as error:\n"
        # Libraries of tests/tables, in its own environment.
        "        assert error.name.split('.')[0] in {'deltalake', 'dlt', 'pyiceberg'}, error\n"
        "assert not [name for name in sys.modules if name.split('.')[0] == 'airflow']\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_protocol_of_the_broker_loads_no_airflow() -> None:
    script = (
        "import sys, oauth_taskflow.taskflow.broker.protocol; assert 'airflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.slow
def test_importing_the_package_or_checking_specs_loads_no_http_library() -> None:
    script = (
        "import sys, oauth_taskflow, oauth_taskflow.specs.check\n"
        "heavy = {'airflow', 'requests', 'sqlalchemy', 'jsonschema', 'cryptography'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.airflow
def test_parsing_a_dag_file_with_specs_loads_neither_requests_nor_the_token_store() -> None:
    script = (
        "import sys, airflow.sdk\n"
        "before = set(sys.modules)\n"
        "from oauth_taskflow import build_dag\n"
        f"build_dag({str(ROOT / 'dag_specs' / 'demo_airports.yaml')!r})\n"
        "new = set(sys.modules) - before\n"
        "heavy = {n for n in new if n.split('.')[0] in {'requests', 'sqlalchemy', 'jsonschema'}}\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


@pytest.mark.airflow
def test_a_task_loads_paging_budgets_and_refreshing_only_when_it_uses_them() -> None:
    late = "api.paginators api.decoders.json api.login_source budgets.gate budgets.sql watermarks tokens.refresh.attempt"
    late += " taskflow.broker.desk taskflow.broker.budget_client"
    names = [f"oauth_taskflow.{name}" for name in late.split()]
    script = (
        "import sys\n"
        "import oauth_taskflow.taskflow.decorator, oauth_taskflow.taskflow.sessions, oauth_taskflow.taskflow.xcom_guard\n"
        f"assert not (early := set({names}) & set(sys.modules)), early\n"
        f"for name in {names}: __import__(name)\n"  # so that no name here is wrong
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


@pytest.mark.airflow
def test_values_that_a_task_loads_at_its_start_are_structs_as_dataclasses_are_slow_to_define() -> (
    None
):
    script = (
        "import sys\n"
        "import oauth_taskflow.taskflow.decorator, oauth_taskflow.taskflow.sessions, oauth_taskflow.taskflow.xcom_guard\n"
        "modules = [sys.modules[name] for name in sorted(sys.modules) if name.startswith('oauth_taskflow')]\n"
        "classes = [one for module in modules for one in vars(module).values() if isinstance(one, type)]\n"
        "ours = {one.__name__ for one in classes if '__dataclass_params__' in vars(one) and one.__module__.startswith('oauth_taskflow')}\n"
        "print(*sorted(ours))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    # Authors of paginators may call dataclasses.replace with a request; fields load where msgspec is not there yet.
    assert done.stdout.split() == ["ApiRequest", "ConnectionField"]


@pytest.mark.slow
def test_the_tests_of_connections_load_no_airflow() -> None:
    names = [f"tests.connections.{path.stem}" for path in (ROOT / "tests/connections").glob("*.py")]
    script = (
        f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"
        "assert 'airflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)
