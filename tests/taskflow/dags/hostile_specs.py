"""Specs that once took all DAGs of their folder away, one file each."""

from __future__ import annotations

from pathlib import Path

_SPEC = """\
version: 1
dag_id: {name}
connection: crm
{top}
endpoints:
  a:
    request: {{path: /a}}
    destination: {{type: file, path: "out/{{{{ dag_id }}}}/{{{{ endpoint }}}}"}}
    {endpoint}
"""
_NUMBER = "9" * 20
_HOSTILE = {
    "active_runs": (f"max_active_runs: {_NUMBER}", ""),
    "param": (f"params: {{n: {_NUMBER}}}", ""),
    "body": ("", f"for_each: {{n: [1, {_NUMBER}]}}"),
    "weight": ("", "task: {priority_weight: 3000000000}"),
    "delay": (f"default_args: {{retry_delay: P{'9' * 400}Y}}", ""),
    "tag": (f"tags: [{'t' * 101}]", ""),
    "owner_link": ("owner_links: {data: example.com}", ""),
    "continuous": ('schedule: "@continuous"\nmax_active_runs: 5', ""),
    "catchup": ('schedule: "@daily"\ncatchup: true', ""),
    "century": ('schedule: "@daily"\nstart_date: 9999-12-31T23:59:59-10:00', ""),
    "nul": ('description: "a\\0b"', ""),
    "words": (f'schedule: "0 {",".join(["0"] * 200)} * * *"', ""),
    "brackets": ("", f"description: x\n    records: '{'(' * 5000}a{')' * 5000}'"),
}


def write_hostile_specs(folder: Path) -> list[str]:
    """Write them into ``folder``; the names of the files."""
    folder.mkdir(exist_ok=True)
    for name, (top, endpoint) in _HOSTILE.items():
        (folder / f"{name}.yaml").write_text(_SPEC.format(name=name, top=top, endpoint=endpoint))
    return sorted(f"{name}.yaml" for name in _HOSTILE)
