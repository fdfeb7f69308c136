"""The time that the extra ``fast`` saves: reading responses in gzip and writing jsonl.gz, with isal and without.

Usage: .venv/bin/python benchmarks/fast_gzip.py [--rounds 3]
"""

from __future__ import annotations

from measure import (
    Candidate,
    alternate,
    command_line,
    environment_line,
    ratio,
    require,
    table,
    times,
    versions_of,
)
from peers import OURS, use_peer


def main() -> None:
    options = command_line(__doc__, rounds=3)
    plain = Candidate("zlib of Python", OURS, "gzip_child.py", [])
    fast = Candidate("isal (extra fast)", None, "gzip_child.py", [])
    use_peer(fast, "fast")
    rows = [plain, fast]
    alternate(rows, options.rounds, warm_up=False)
    require(plain)
    print(environment_line(versions_of(rows)))
    print(
        f"20 MB of JSON Lines, processor time in ms; median of {options.rounds} alternating runs\n"
    )
    lines = []
    for row in rows:
        shown = [row.missing, "", "", "", ""]
        if not row.missing:
            read, write = row.median("read") or 0.0, row.median("write") or 0.0
            ratios = [ratio(read, plain.median("read")), ratio(write, plain.median("write"))]
            shown = [
                f"{read * 1000:.0f}",
                f"{write * 1000:.0f}",
                *("" if one is None else times(one) for one in ratios),
                f"{row.median('bytes') or 0:.0f}",
            ]
        lines.append([row.name, *shown])
    print(
        table(["library", "read", "write", "read, ratio", "write, ratio", "bytes written"], lines)
    )


if __name__ == "__main__":
    main()
