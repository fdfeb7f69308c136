"""Loads a folder of DAGs once, after all imports, and prints how long that took. Started by ``parse.py``.

Arguments: ours | dag-factory | hand-written, the folder, and ``cold`` for how a task starts. Airflow and the loader are
imported before the clock starts. Then one DAG outside the folder is built; cold, none is, and the median is taken over
forks of which each loads the folder for the first time.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import spec_folder

FORKS = 9


def load_ours(folder: Path) -> list[Any]:
    from oauth_taskflow.taskflow.dags.load import load_specs  # noqa: PLC0415 - not in dag-factory's environment

    return load_specs({"__file__": __file__}, folder)


def load_dag_factory(folder: Path) -> list[Any]:
    from dagfactory import load_yaml_dags  # noqa: PLC0415 - in that environment only

    namespace: dict[str, Any] = {}
    load_yaml_dags(namespace, dags_folder=str(folder))
    return list(namespace.values())


def load_python(folder: Path) -> list[Any]:
    """As Airflow's DAG bag does it: every file is a separate module, read from bytecode if there is any."""
    dags = []
    for path in sorted(folder.glob("*.py")):
        loader = importlib.machinery.SourceFileLoader(f"unusual_prefix_{path.stem}", str(path))
        spec = importlib.util.spec_from_loader(loader.name, loader)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        loader.exec_module(module)
        dags.append(module.dag)
    return dags


KINDS: dict[str, tuple[Callable[[Path], list[Any]], Callable[[Path, int], None], list[str]]] = {
    "ours": (load_ours, spec_folder.write_specs, ["oauth-taskflow", "apache-airflow"]),
    "dag-factory": (load_dag_factory, spec_folder.write_dag_factory, ["dag-factory"]),
    "hand-written": (load_python, spec_folder.write_python, []),
}


def time_load(load: Callable[[Path], list[Any]], folder: Path) -> dict[str, Any]:
    """Wall and processor seconds of loading ``folder``, and what came out."""
    began, processor = time.perf_counter(), time.process_time()
    dags = load(folder)
    seconds, processor = time.perf_counter() - began, time.process_time() - processor
    tasks = sum(len(dag.tasks) for dag in dags)
    return {"seconds": seconds, "cpu": processor, "dags": len(dags), "tasks": tasks}


def in_a_fork(load: Callable[[Path], list[Any]], folder: Path) -> dict[str, Any]:
    """The same in a fork, so that nothing this process does later finds anything cached."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, json.dumps(time_load(load, folder)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        figures: dict[str, Any] = json.loads(answer.read())
    os.waitpid(child, 0)
    return figures


def main() -> None:
    load, write, packages = KINDS[sys.argv[1]]
    folder, warm = Path(sys.argv[2]), Path("warm").resolve()
    cold = "cold" in sys.argv
    write(warm, 0 if cold else 1)
    load(warm)  # cold, an empty folder: imports the loader and nothing that only a spec needs
    if cold:
        runs = [in_a_fork(load, folder) for _ in range(FORKS)]
        medians = {key: statistics.median(run[key] for run in runs) for key in ("seconds", "cpu")}
        figures = {**runs[-1], **medians}
    else:
        figures = time_load(load, folder)
    figures["versions"] = {name: version(name) for name in packages}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
