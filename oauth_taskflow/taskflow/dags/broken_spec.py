"""A spec that could not be loaded, as Airflow shows it: an import error of its own that harms no other DAG.

Airflow drops errors of files that are no DAG files whenever it refreshes the bundle (every five minutes by default)
and gets them again from the next parse (every thirty seconds): a broken spec may be missing from the list for that
long, and is in the DAG processor's log at every parse.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from airflow.sdk import DAG

from oauth_taskflow.errors import SpecError
from oauth_taskflow.taskflow.dags.dag_bag import bag_being_filled, file_error


class BrokenSpecDag(DAG):
    """Stands in a DAG file's globals for a spec with problems; Airflow validates it, and it never passes."""

    def __init__(self, path: str, problems: Sequence[Any]) -> None:
        name = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        super().__init__(f"oauth_taskflow_broken_spec__{name}", schedule=None)
        self._spec_path = path
        self._spec_error = SpecError(problems)

    def validate(self) -> None:
        """File the problems under the spec, in the bag of DAGs that is being filled; else raise them.

        Raises:
            SpecError: no bag is being filled.
            AirflowClusterPolicySkipDag: the problems are filed; Airflow leaves this DAG out without another word.
        """
        bag = bag_being_filled()
        if bag is None:
            raise self._spec_error
        file_error(bag, self._spec_path, str(self._spec_error))
