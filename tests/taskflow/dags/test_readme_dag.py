"""The decorated DAG of README, as printed, in a run by hand: Airflow knows no data interval then."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from oauth_taskflow.testing import OAuthTestServer
from tests.taskflow.conftest import RunDag, SetConnection

README = Path(__file__).resolve().parents[3] / "README.md"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_first_example_is_green_however_it_is_triggered(
    tmp_path: Path, run_dag: RunDag, set_connection: SetConnection, oauth_server: OAuthTestServer
) -> None:
    set_connection("demo", oauth_server.connection())
    (code,) = re.findall(
        r"```python\n(# try/dags/airports.py\n.*?)```", README.read_text(), re.DOTALL
    )
    file = tmp_path / "airports.py"
    file.write_text(code.removesuffix("airports()\n") + "found = airports()\n")
    run = run_dag(runpy.run_path(str(file))["found"])
    assert run.state == "success"
    assert isinstance(run.result("changed"), list)
    assert [request.path for request in oauth_server.requests].count("/page/airports") == 1
