"""The bag of DAGs that Airflow is filling, and import errors under a spec's own name.

Airflow files the errors of a DAG file under that file. It then takes *every* DAG of the file out of scheduling
(``airflow.dag_processing.collection``, read and tried on 3.3.2). So the problems of a spec are filed under the spec.
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

# MySQL's TEXT has room for 65,535 bytes, and Airflow's column of file names for 1,024 characters.
_MOST_BYTES = 60_000
_MOST_NAME = 1_000


def bag_being_filled() -> Any:
    """Returns the DagBag whose method called the caller, or None: Airflow does not hand it to objects of a DAG file."""
    module = sys.modules.get("airflow.dag_processing.dagbag")
    caller = _calling_frame()
    candidate = caller.f_locals.get("self") if caller is not None else None
    if module is None or not isinstance(candidate, module.DagBag):
        return None
    return candidate


def is_called_by(function: str) -> bool:
    """Returns whether a function of that name, in Airflow's DAG processor, called the caller."""
    caller = _calling_frame()
    if caller is None or caller.f_code.co_name != function:
        return False
    return str(caller.f_globals.get("__name__", "")).startswith("airflow.dag_processing.")


def _calling_frame() -> FrameType | None:
    frame = inspect.currentframe()
    for _ in range(3):  # this function, the one above, and the method that asks
        frame = frame.f_back if frame is not None else None
    return frame


def file_error(bag: Any, path: str, text: str) -> NoReturn:
    """Files ``text`` as import error of ``path`` in ``bag``, and makes Airflow leave the DAG out.

    Raises:
        AirflowClusterPolicySkipDag: always.
    """
    from airflow.exceptions import AirflowClusterPolicySkipDag  # noqa: PLC0415 - only where something is wrong

    shown = storable(text)
    bag.log.error("%s", shown)
    name = bundle_path(path, bag)
    known = bag.import_errors.get(name)
    bag.import_errors[name] = shown if known in {None, shown} else storable(f"{known}\n{shown}")
    raise AirflowClusterPolicySkipDag(shown)


def bundle_path(path: str, bag: Any) -> str:
    """Returns ``path`` as Airflow names files: relative to the bundle where that is possible."""
    root = getattr(bag, "bundle_path", None)
    spec = Path(path).absolute()
    for top in () if root is None else (Path(root), Path(root).resolve()):
        for one in (spec, spec.resolve()):
            if one.is_relative_to(top):
                return storable(str(one.relative_to(top)))[-_MOST_NAME:]
    return storable(str(spec))[-_MOST_NAME:]


def storable(text: str) -> str:
    """``text`` as every database takes it: UTF-8, without NUL, and not too long."""
    data = text.replace("\0", "\\0").encode("utf-8", "backslashreplace")
    if len(data) <= _MOST_BYTES:
        return data.decode()
    return f"{data[:_MOST_BYTES].decode('utf-8', 'ignore')}\n… and more; run validate-dag-specs for all of it."
