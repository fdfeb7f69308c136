"""Parse time per DAG: our specs, dag-factory and hand-written DAG files; and one wanted DAG of many.

Loading DAGs uses one thread and waits only for small files. So its processor time equals its wall time on an idle
machine, and processor time is compared. Wall time, which other work on the machine lengthens, is printed too.

Usage: .venv/bin/python benchmarks/parse.py [--dags 1000] [--rounds 5]
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import spec_folder
from measure import (
    Candidate,
    alternate,
    command_line,
    environment_line,
    ratio,
    require,
    table,
    times,
    verdict,
    versions_of,
)
from peers import OURS, use_peer

WANTED_TARGET_MS = 20.0
# 2 of the 12 seconds that 10,000 hand-written DAGs take.
UNCHANGED_TARGET = 1 / 6


def per_dag(candidate: Candidate, dags: int, key: str = "cpu") -> float | None:
    """Median milliseconds per DAG, of processor or wall time (``seconds``)."""
    seconds = candidate.median(key)
    return None if seconds is None else seconds * 1000 / dags


def all_dags(folder: Path, dags: int, rounds: int) -> None:
    spec_folder.write_specs(folder / "specs", dags)
    spec_folder.write_dag_factory(folder / "factory", dags)
    spec_folder.write_python(folder / "python", dags)
    ours = _candidate("oauth-taskflow specs", "ours", folder / "specs")
    hand = _candidate("hand-written DAG files", "hand-written", folder / "python")
    kept = {"AIRFLOW__OAUTH_TASKFLOW__SPEC_CACHE": str(folder / "cache")}
    # The first round, which does not count, fills the cache.
    again = _candidate(
        "the same, unchanged, with a cache", "ours", folder / "specs", kept, cold=False
    )
    factory = _candidate("dag-factory YAML", "dag-factory", folder / "factory")
    use_peer(factory, "airflow")
    candidates = [ours, again, hand, factory]
    alternate(candidates, rounds)
    require(ours)
    print(environment_line(versions_of(candidates)))
    print(f"{dags} DAGs with 3 endpoints each; median of {rounds} alternating runs\n")
    base = per_dag(ours, dags)
    rows = []
    for each in candidates:
        value = per_dag(each, dags)
        if value is None:
            rows.append([each.name, each.missing, "", "", "", ""])
            continue
        compared = ratio(base, value)
        rows.append(
            [
                each.name,
                f"{value:.2f}",
                f"{per_dag(each, dags, 'seconds'):.2f}",
                f"{1 if compared is None else compared:.2f} x",
                str(each.fact("dags")),
                str(each.fact("tasks")),
            ]
        )
    print(table(["loader", "CPU ms per DAG", "wall ms", "ours takes", "DAGs", "tasks"], rows))
    print()
    print(verdict("ours / dag-factory", ratio(base, per_dag(factory, dags)), 1 / 3, times))
    print(verdict("ours / hand-written", ratio(base, per_dag(hand, dags)), 2.0, times))
    found = ratio(per_dag(again, dags), per_dag(hand, dags))
    print(verdict("unchanged / hand-written", found, UNCHANGED_TARGET, times))


def one_wanted(folder: Path, dags: int, rounds: int) -> None:
    wanted = spec_folder.Sample(dags // 2).dag_id
    single = folder / "single"
    spec_folder.write_specs(folder / "others", dags, named_alike=False)
    single.mkdir()
    text = (folder / "specs" / f"{wanted}.yaml").read_text(encoding="utf-8")
    (single / f"{wanted}.yaml").write_text(text, encoding="utf-8")
    env = {"_AIRFLOW_PARSING_CONTEXT_DAG_ID": wanted, "_AIRFLOW_PARSING_CONTEXT_TASK_ID": "any"}
    alone = _candidate("a folder of one spec", "ours", single, env, cold=True)
    named = _candidate(
        f"1 of {dags}, files named like their DAG", "ours", folder / "specs", env, cold=True
    )
    cache = "AIRFLOW__OAUTH_TASKFLOW__SPEC_CACHE"
    # A file takes no folder, so the index is not kept: as for the first task of a new machine.
    first = _candidate(
        f"1 of {dags}, files named otherwise, the first task",
        *("ours", folder / "others", {**env, cache: f"{single / wanted}.yaml"}),
        cold=True,
    )
    # The first of its forks writes the index, and the median does not feel it.
    later = _candidate(
        f"1 of {dags}, files named otherwise, with an index",
        *("ours", folder / "others", {**env, cache: str(folder / "index")}),
        cold=True,
    )
    candidates = [alone, named, first, later]
    alternate(candidates, rounds, warm_up=False)
    require(alone)
    base = alone.median("cpu")
    print("\nOne wanted DAG, as at the start of every task\n")
    rows, above = [], {}
    for each in candidates:
        value, wall = each.median("cpu"), each.median("seconds")
        above[each.name] = None if value is None or base is None else (value - base) * 1000
        shown = ["", "", ""]
        if value is not None and wall is not None and above[each.name] is not None:
            shown = [f"{value * 1000:.1f}", f"{wall * 1000:.1f}", f"{above[each.name]:+.1f}"]
        rows.append([each.name, *(shown if value is not None else [each.missing, "", ""])])
    print(table(["folder", "CPU ms", "wall ms", "CPU ms above one spec"], rows))
    print()
    for each in candidates[1:]:
        print(verdict(each.name, above[each.name], WANTED_TARGET_MS, lambda ms: f"{ms:.1f} ms"))


def _candidate(
    name: str, kind: str, folder: Path, env: dict[str, str] | None = None, *, cold: bool = False
) -> Candidate:
    # A process that wants one DAG begins cold, as a task does.
    arguments = [kind, str(folder), *(["cold"] if cold else [])]
    return Candidate(name, OURS, "parse_child.py", arguments, env or {})


def main() -> None:
    options = command_line(__doc__, dags=1000, rounds=5)
    with tempfile.TemporaryDirectory() as folder:
        all_dags(Path(folder), options.dags, options.rounds)
        one_wanted(Path(folder), options.dags, options.rounds)


if __name__ == "__main__":
    main()
