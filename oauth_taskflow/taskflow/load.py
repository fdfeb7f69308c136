"""One DAG file for a folder of specs: ``load_specs(globals(), "dag_specs/")``."""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, get_parsing_context

from oauth_taskflow.errors import SpecError
from oauth_taskflow.specs.check import SUFFIXES, check_file, check_paths, spec_files
from oauth_taskflow.specs.model import Spec
from oauth_taskflow.specs.problem import Problem
from oauth_taskflow.taskflow.broken_spec import BrokenSpecDag
from oauth_taskflow.taskflow.factory import build_dag


def load_specs(namespace: MutableMapping[str, Any], folder: str | Path = ".") -> list[DAG]:
    """Put one DAG per spec of ``folder`` into ``namespace``, the ``globals()`` of a DAG file.

    A relative ``folder`` is looked for beside the DAG file, then beside the folder the DAG file is in. When Airflow
    runs a task it names the DAG it wants (``airflow.sdk.get_parsing_context``), and only that one is built.

    A spec with problems is left out; the others load, and its problems become an Airflow import error under the
    spec's own file, each with ``file:line:col``.

    Raises:
        SpecError: the folder does not exist.
    """
    root = _folder(namespace, Path(folder))
    wanted = get_parsing_context().dag_id
    with _collector_paused():
        specs, problems = _wanted_spec(root, wanted) if wanted else _all_specs(root)
        dags = [build_dag(spec) for spec in specs]
    for dag in dags:
        namespace[f"dag_{dag.dag_id}"] = dag
    for path, found in groupby(problems, key=attrgetter("path")):
        broken = BrokenSpecDag(path, list(found))
        namespace[broken.dag_id] = broken
    return dags


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Without Python's cyclic garbage collector: what is built here stays, so looking through it frees nothing.

    A fifth of the time for a thousand DAGs, at no more memory (``benchmarks/parse.py``).
    """
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def _all_specs(root: Path) -> tuple[list[Spec], list[Problem]]:
    specs: list[Spec] = []
    problems: list[Problem] = []
    for result in check_paths([root]):
        errors = [problem for problem in result.problems if problem.is_error]
        problems += errors
        if result.spec is not None and not errors:
            specs.append(result.spec)
    return specs, problems


def _wanted_spec(root: Path, dag_id: str) -> tuple[list[Spec], list[Problem]]:
    problems: list[Problem] = []
    for path in _candidates(root, dag_id):
        result = check_file(path)
        if result.spec is None:
            problems += [problem for problem in result.problems if problem.is_error]
        elif result.spec.source.dag_id == dag_id:
            return [result.spec], []
    return [], problems


def _candidates(root: Path, dag_id: str) -> Iterator[Path]:
    """The files that may hold ``dag_id``, the one named like it first: a large folder need not even be listed then."""
    wanted = dag_id.encode()
    mention = re.compile(
        rb"(?:^|[\s{,])[\"']?dag_id[\"']?\s*:\s*(?:&\S+\s+)?[\"']?"
        + re.escape(wanted)
        + rb"(?![\w.-])"
    )

    def mentions(path: Path) -> bool:
        text = path.read_bytes()
        return wanted in text and mention.search(text) is not None

    named = [root / f"{dag_id}{suffix}" for suffix in sorted(SUFFIXES)]
    alike = [path for path in named if path.is_file() and mentions(path)]
    yield from alike
    yield from (path for path in spec_files([root]) if path not in alike and mentions(path))


def _folder(namespace: MutableMapping[str, Any], folder: Path) -> Path:
    here = Path(str(namespace.get("__file__", "."))).resolve().parent
    tried = [folder] if folder.is_absolute() else [here / folder, here.parent / folder]
    for candidate in tried:
        if candidate.is_dir():
            return candidate
    shown = " and ".join(str(path) for path in tried)
    raise SpecError([f"The spec folder {str(folder)!r} does not exist; looked at {shown}."])
