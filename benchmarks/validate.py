"""Validates 1,000 specs: ``scripts/validate_specs.py`` with all rules, next to check-jsonschema with the same JSON Schema.

Both run as commands, as CI runs them, so that their start counts. Processor time is compared.

Usage: .venv/bin/python benchmarks/validate.py [--dags 1000] [--rounds 3]
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

HERE = Path(__file__).parent
COMMAND = HERE.parent / "scripts" / "validate_specs.py"
SCHEMA = HERE.parent / "oauth_taskflow" / "specs" / "dag_spec.schema.json"


def compare(folder: Path, dags: int, rounds: int) -> None:
    """Prints the table and the verdict."""
    spec_folder.write_specs(folder, dags)
    ours = _candidate("validate_specs.py, all rules", "ours", COMMAND, folder)
    peer = _candidate("check-jsonschema, the schema", "check-jsonschema", SCHEMA, folder)
    use_peer(peer, "check-jsonschema")
    candidates = [ours, peer]
    alternate(candidates, rounds)
    require(ours)
    print(environment_line(versions_of(candidates)))
    print(f"{dags} specs with 3 endpoints each; median of {rounds} alternating runs\n")
    base = ours.median("cpu")
    rows = []
    for each in candidates:
        cpu, seconds = each.median("cpu"), each.median("seconds")
        if base is None or cpu is None or seconds is None:
            rows.append([each.name, each.missing, "", "", ""])
            continue
        took = f"{base / cpu:.2f} x"
        rows.append([each.name, f"{cpu:.2f}", f"{seconds:.2f}", took, str(each.fact("problems"))])
    print(table(["validator", "CPU s", "wall s", "ours takes", "exit status"], rows))
    print()
    print(verdict("ours / check-jsonschema", ratio(base, peer.median("cpu")), 1 / 4, times))


def _candidate(name: str, kind: str, with_file: Path, folder: Path) -> Candidate:
    return Candidate(name, OURS, "validate_child.py", [kind, str(with_file), str(folder)])


def main() -> None:
    options = command_line(__doc__, dags=1000, rounds=3)
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder) / "specs", options.dags, options.rounds)


if __name__ == "__main__":
    main()
