"""Loads a folder of DAGs once, after all imports, and prints how long that took. Started by ``parse.py``.

Arguments: ours | dag-factory | hand-written, the folder, and ``cold`` to leave out the warm-up. Airflow and the loader
are imported before the clock starts and, unless cold, one DAG outside the folder is built.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import spec_folder


def load_ours(folder: Path) -> list[Any]:
    from oauth_taskflow.taskflow.load import load_specs  # noqa: PLC0415 - not in dag-factory's environment

    return load_specs({"__file__": __file__}, folder)


def load_dag_factory(folder: Path) -> list[Any]:
    from dagfactory import load_yaml_dags  # noqa: PLC0415 - in that environment only

    namespace: dict[str, Any] = {}
    load_yaml_dags(namespace, dags_folder=str(folder))
    return list(namespace.values())


def load_python(folder: Path) -> list[Any]:
    """As Airflow's DAG bag does it: every file is a module of its own, from bytecode where there is some."""
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


def main() -> None:
    load, write, packages = KINDS[sys.argv[1]]
    folder, warm = Path(sys.argv[2]), Path("warm").resolve()
    write(warm, 0 if "cold" in sys.argv else 1)
    load(warm)  # cold, an empty folder: imports the loader and nothing that only a spec needs
    began, processor = time.perf_counter(), time.process_time()
    dags = load(folder)
    seconds, processor = time.perf_counter() - began, time.process_time() - processor
    tasks = sum(len(dag.tasks) for dag in dags)
    figures = {
        "seconds": seconds,
        "cpu": processor,
        "dags": len(dags),
        "tasks": tasks,
        "versions": {name: version(name) for name in packages},
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
