"""Times the imports that a task brings into a fresh interpreter, as in a Kubernetes pod. Started by ``cold_start.py``.

Argument: the kind. What Airflow's own task process has loaded by then is loaded before the clock starts.
"""

from __future__ import annotations

import json
import sys
import time
from importlib import import_module

AIRFLOWS_OWN = (
    "airflow.sdk.execution_time.execute_workload",
    "airflow.sdk.execution_time.task_runner",
    "airflow.providers.standard.decorators.python",
)
KINDS = {
    "handwritten": ("requests",),
    "http_hook": ("airflow.providers.http.hooks.http",),
    "oauth_task": (
        "oauth_taskflow.taskflow.decorator",
        "oauth_taskflow.taskflow.sessions",
        "oauth_taskflow.taskflow.xcom_guard",
    ),
}


def main() -> None:
    for name in AIRFLOWS_OWN:
        import_module(name)
    began = time.process_time()
    for name in KINDS[sys.argv[1]]:
        import_module(name)
    print(json.dumps({"imports": time.process_time() - began}))


if __name__ == "__main__":
    main()
