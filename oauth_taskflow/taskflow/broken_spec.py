"""A spec that could not be loaded, as Airflow shows it: an import error of its own that harms no other DAG.

Airflow files the errors of a DAG file under that file, and then takes *every* DAG of the file out of scheduling
(``airflow.dag_processing.collection``, read and tried on 3.3.2). So the problems of a spec are filed under the spec.

Airflow drops errors of files that are no DAG files whenever it refreshes the bundle (every five minutes by default)
and gets them again from the next parse (every thirty seconds): a broken spec may be missing from the list for that
long, and is in the DAG processor's log at every parse.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow.sdk import DAG

from oauth_taskflow.errors import SpecError


class BrokenSpecDag(DAG):
    """Stands in a DAG file's globals for a spec with problems; Airflow validates it, and it never passes."""

    def __init__(self, path: str, problems: Sequence[Any]) -> None:
        super().__init__(f"oauth_taskflow_broken_spec__{abs(hash(path)):x}", schedule=None)
        self._spec_path = path
        self._spec_error = SpecError(problems)

    def validate(self) -> None:
        """File the problems under the spec, in the bag of DAGs that is being filled; else raise them.

        Raises:
            SpecError: nobody is filling a bag.
            AirflowClusterPolicySkipDag: the problems are filed; Airflow leaves this DAG out without another word.
        """
        bag = _bag_being_filled()
        if bag is None:
            raise self._spec_error
        from airflow.exceptions import AirflowClusterPolicySkipDag  # noqa: PLC0415 - only here

        bag.log.error("%s", self._spec_error)
        bag.import_errors[_relative(self._spec_path, bag)] = str(self._spec_error)
        raise AirflowClusterPolicySkipDag(str(self._spec_error))


def _bag_being_filled() -> Any:
    """The DagBag whose method called ``validate``: Airflow hands it to nothing that a DAG file could define."""
    module = sys.modules.get("airflow.dag_processing.dagbag")
    frame = inspect.currentframe()
    caller = frame.f_back.f_back if frame is not None and frame.f_back is not None else None
    candidate = caller.f_locals.get("self") if caller is not None else None
    if module is None or not isinstance(candidate, module.DagBag):
        return None
    return candidate


def _relative(path: str, bag: Any) -> str:
    """As Airflow names files: relative to the bundle where that is possible."""
    root = getattr(bag, "bundle_path", None)
    spec = Path(path).resolve()
    if root is not None and spec.is_relative_to(Path(root).resolve()):
        return str(spec.relative_to(Path(root).resolve()))
    return str(spec)
