"""The DAG of a spec file: *Code* shows the YAML, and every error of the DAG is filed under the YAML's name.

Airflow imports the DAG file, then validates, bags and serialises each DAG, and sends it to the process that writes it
to the database. An error in any of these steps is filed under the DAG file, which takes all its DAGs out of scheduling.
Here validation and bagging are tried one DAG at a time, and serialisation asks this object which file a failure belongs
to. The later steps cannot fail on a DAG within the bounds of the spec format.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG

from oauth_taskflow.taskflow.dags.dag_bag import (
    bag_being_filled,
    bundle_path,
    file_error,
    is_called_by,
)


class SpecDag(DAG):
    """A DAG that a spec file defines and a DAG file loads."""

    _spec_path = ""
    _dag_file: str | None = None
    _error_file: str | None = None
    _loader = ""

    @property
    def relative_fileloc(self) -> str | None:
        """The DAG file within its bundle, which tasks are started from; for a failed serialisation, the spec.

        ``airflow.dag_processing.processor._serialize_dags`` reads this attribute itself only to file an error.
        """
        if self._error_file is not None and is_called_by("_serialize_dags"):
            return self._error_file
        return self._dag_file

    @relative_fileloc.setter
    def relative_fileloc(self, value: str | None) -> None:
        self._dag_file = value

    def set_spec_path(self, path: str) -> SpecDag:
        """Notes that the spec file ``path`` defines this DAG, and returns the DAG."""
        self._spec_path = path
        return self

    def validate(self) -> None:
        """Validates this DAG, names the spec as its code, and tries to put it into the bag that is being filled.

        The bag applies the deployment's cluster policies, so a refusal concerns this spec only. Airflow fills the bag again.

        Raises:
            AirflowClusterPolicySkipDag: the error is filed under the spec; Airflow leaves this DAG out.
        """
        bag = bag_being_filled()
        if bag is None:
            super().validate()  # type: ignore[no-untyped-call]  # of Airflow
            return
        from airflow.exceptions import AirflowClusterPolicySkipDag  # noqa: PLC0415 - only when bags are filled

        self._loader = self.fileloc
        self._error_file = bundle_path(self._spec_path, bag)
        self.fileloc = self._spec_path
        try:
            super().validate()  # type: ignore[no-untyped-call]  # of Airflow
            bag.bag_dag(dag=self)
        except AirflowClusterPolicySkipDag:
            raise
        except Exception as error:  # noqa: BLE001 - of one spec, whatever it is, it must not reach the others
            if bag.dags.get(self.dag_id) is self:
                del bag.dags[self.dag_id]
            file_error(bag, self._spec_path, f"{self._spec_path}: {type(error).__name__}: {error}")

    def test(self, *args: Any, **kwargs: Any) -> Any:
        """Runs the DAG once, as Airflow's ``DAG.test`` does. An executor starts its tasks from the DAG file."""
        self.fileloc = self._loader or self.fileloc
        return super().test(*args, **kwargs)
