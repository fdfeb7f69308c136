"""A spec that could not be loaded, shown in Airflow as an import error under its own name; other DAGs are unaffected.

Airflow drops errors of files other than DAG files whenever it refreshes the bundle, every five minutes by default. The
next parse, thirty seconds later at most, files them again. So a broken spec may be missing from the list for that long;
the DAG processor logs it at every parse.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from airflow.sdk import DAG

from oauth_taskflow.errors import SpecError
from oauth_taskflow.taskflow.dags.dag_bag import bag_being_filled, file_error


class BrokenSpecDag(DAG):
    """Represents a spec with problems in a DAG file's globals. Airflow validates it, which always fails."""

    def __init__(self, path: str, problems: Sequence[Any]) -> None:
        name = hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        super().__init__(f"oauth_taskflow_broken_spec__{name}", schedule=None)
        self._spec_path = path
        self._spec_error = SpecError(problems)

    def validate(self) -> None:
        """Files the problems under the spec, in the bag of DAGs that is being filled; without a bag, raises them.

        Raises:
            SpecError: no bag is being filled.
            AirflowClusterPolicySkipDag: the problems are filed; Airflow leaves this DAG out and reports nothing more.
        """
        bag = bag_being_filled()
        if bag is None:
            raise self._spec_error
        file_error(bag, self._spec_path, str(self._spec_error))
