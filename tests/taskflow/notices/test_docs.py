"""The examples of docs/notices.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.airflow
PAGE = Path(__file__).parents[3] / "docs" / "notices.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_dag_file_of_the_docs_loads(airflow_home: Any) -> None:
    namespace: dict[str, Any] = {}
    exec(BLOCKS[0], namespace)
    dag = namespace["dag_oauth_maintenance"]
    assert sorted(dag.task_ids) == ["keep_alive", "list_grants"]
    assert dag.max_active_runs == 1


def test_the_slack_notifier_of_the_docs_takes_these_arguments(airflow_home: Any) -> None:
    exec(BLOCKS[1], {})


def test_the_deadline_alert_of_the_docs_takes_these_arguments(airflow_home: Any) -> None:
    namespace: dict[str, Any] = {}
    exec(BLOCKS[3], namespace)
    callback = namespace["late"].callback
    assert callback.path == "oauth_taskflow.taskflow.notices.notifier.OAuthNotifier"
    assert set(callback.kwargs) == {"notifiers", "connections"}
