"""As ``pull_child.py``, for our client with another contract. Started by ``contract.py``."""

from __future__ import annotations

import sys
from pathlib import Path

import pull_child

if __name__ == "__main__":
    url, folder, more = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
    pull_child.measure(
        "ours",
        folder,
        lambda own: pull_child.ours(url, own, more),
        pull_child._rows_and_hash,  # noqa: SLF001 - of the same benchmark
    )
