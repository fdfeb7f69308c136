"""Running a DAG object in this process. Imported by a fixture only, once Airflow's home is set."""

from __future__ import annotations

from typing import Any

from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.models.serialized_dag import SerializedDagModel
from airflow.sdk import DAG
from airflow.serialization.definitions.dag import SerializedDAG
from airflow.serialization.serialized_objects import LazyDeserializedDAG


class FinishedRun:
    """The traces of a run: task states, tries and XComs."""

    def __init__(self, dag_run: Any) -> None:
        self.state = str(dag_run.state)
        self.run_id = str(dag_run.run_id)
        self._instances = {(ti.task_id, ti.map_index): ti for ti in dag_run.get_task_instances()}

    def task_state(self, task_id: str, map_index: int = -1) -> str:
        """``success``, ``failed``, …"""
        return str(self._instances[task_id, map_index].state)

    def tries(self, task_id: str, map_index: int = -1) -> int:
        """How often the task was started."""
        return int(self._instances[task_id, map_index].try_number)

    def result(self, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """The XCom value that the task pushed, or None."""
        ti = self._instances[task_id, map_index]
        return ti.xcom_pull(task_ids=task_id, key=key, map_indexes=map_index)


def store_dag(dag: DAG) -> None:
    """Store ``dag`` as the DAG processor does."""
    manager: Any = DagBundlesManager
    manager().sync_bundles_to_db()
    lazy = LazyDeserializedDAG.from_dag(dag)
    SerializedDAG.bulk_write_to_db("dags-folder", None, [lazy])
    SerializedDagModel.write_dag(lazy, bundle_name="dags-folder")


def run_once(dag: DAG, **kwargs: Any) -> FinishedRun:
    """Run ``dag`` once, each task as Airflow's task runner does; keywords as of ``DAG.test``."""
    store_dag(dag)
    return FinishedRun(dag.test(**kwargs))
