"""One DAG file for a folder of specs: ``load_specs(globals(), "dag_specs/")``."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, get_parsing_context

from oauth_taskflow.errors import SpecError
from oauth_taskflow.specs.cache import SpecCache
from oauth_taskflow.specs.check import check_files, failure, is_stop
from oauth_taskflow.specs.dag_index import DagIndex
from oauth_taskflow.specs.files import list_folders, sort_files
from oauth_taskflow.specs.model import Spec
from oauth_taskflow.specs.problem import Problem
from oauth_taskflow.specs.search import find_spec
from oauth_taskflow.specs.shards import choose_share, require_shard
from oauth_taskflow.taskflow.config import spec_cache_folder, spec_index_folder
from oauth_taskflow.taskflow.dags.broken_spec import BrokenSpecDag
from oauth_taskflow.taskflow.dags.dag_copies import DagCopies
from oauth_taskflow.taskflow.dags.factory import fill_dag
from oauth_taskflow.taskflow.dags.spec_dag import SpecDag
from oauth_taskflow.taskflow.dags.task_doc import describe_endpoints


def load_specs(
    namespace: MutableMapping[str, Any],
    folder: str | Path = ".",
    *,
    shard: tuple[int, int] | None = None,
) -> list[DAG]:
    """Puts one DAG per spec of ``folder`` into ``namespace``, the ``globals()`` of a DAG file.

    A relative ``folder`` is searched in the folder of the DAG file, then in the folder above. When Airflow
    runs a task it names the DAG it wants (``airflow.sdk.get_parsing_context``), and only that one is built.

    A spec with problems is left out; the others load, and its problems become an Airflow import error under the
    spec's own file, each with ``file:line:col``. The same applies to a spec whose DAG Airflow refuses, at any step.

    ``shard=(2, 8)`` loads the third of eight shares of the folder, for folders too large for one DAG file
    (docs/scale.md). A ``dag_id`` belongs to the same share as long as their number stays. All specs are still checked
    against each other.

    Raises:
        SpecError: the folder does not exist, or there is no such share.
    """
    if shard is not None:
        require_shard(shard)
    root = _folder(namespace, Path(folder))
    wanted = get_parsing_context().dag_id
    with _pause_collector():
        cache_folder = spec_cache_folder()
        cache = None if cache_folder is None else SpecCache(cache_folder, root, describe_endpoints)
        index = DagIndex(spec_index_folder(), root)
        # The one DAG that a task wants is built whatever the share: Airflow knows which file loads it.
        specs, problems = (
            find_spec(root, wanted, index) if wanted else _all_specs(root, shard, cache, index)
        )
        copies = DagCopies()
        dags = [dag for spec in specs if (dag := _build(spec, problems, copies, cache)) is not None]
    for dag in dags:
        namespace[f"dag_{dag.dag_id}"] = dag
    for path, found in groupby(sorted(problems), key=attrgetter("path")):
        broken = BrokenSpecDag(path, list(found))
        namespace[broken.dag_id] = broken
    return dags


def _build(
    spec: Spec, problems: list[Problem], copies: DagCopies, cache: SpecCache | None
) -> DAG | None:
    """Builds the DAG of ``spec``; an error of Airflow is added to ``problems``."""
    try:
        docs = cache.find_texts(spec.path) if cache is not None else None
        dag = fill_dag(SpecDag, spec, {}, copies, docs)
        return dag.set_spec_path(os.path.abspath(spec.path))  # noqa: PTH100 - as Airflow writes paths
    except BaseException as error:
        if is_stop(error):
            raise
        problems.append(failure(spec.path, "Airflow refuses the DAG", error))
        return None


@contextmanager
def _pause_collector() -> Iterator[None]:
    """Pauses Python's cyclic garbage collector: what is built here stays, so looking through it frees nothing.

    Saves a quarter of the time for a thousand DAGs, at no more memory (``benchmarks/parse.py``).
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            if not gc.get_freeze_count():
                # Together they move all objects to the oldest generation, unseen. Otherwise the next collection, of
                # the young, looks through everything built here. Objects that others froze stay frozen.
                gc.freeze()
                gc.unfreeze()
            gc.enable()


def _all_specs(
    root: Path, shard: tuple[int, int] | None, cache: SpecCache | None, index: DagIndex
) -> tuple[list[Spec], list[Problem]]:
    specs: list[Spec] = []
    problems: list[Problem] = []
    if cache is not None:
        cache.load()
    folders = list_folders(str(root))
    checked = check_files(sort_files(folders), cache)
    index.save(((each.dag_id, each.path) for each in checked), folders)
    if cache is not None:
        cache.save()
    for result in checked if shard is None else choose_share(checked, shard, root):
        errors = [problem for problem in result.problems if problem.is_error]
        problems += errors
        if result.spec is not None and not errors:
            specs.append(result.spec)
    return specs, problems


def _folder(namespace: MutableMapping[str, Any], folder: Path) -> Path:
    here = Path(str(namespace.get("__file__", "."))).resolve().parent
    tried = [folder] if folder.is_absolute() else [here / folder, here.parent / folder]
    for candidate in tried:
        if candidate.is_dir():
            return candidate
    if (file := next((path for path in tried if path.is_file()), None)) is not None:
        raise SpecError([f"load_specs takes a folder, and {file} is a file: write its folder."])
    shown = " and ".join(str(path) for path in tried)
    raise SpecError([f"The spec folder {str(folder)!r} does not exist; looked at {shown}."])
