#!/usr/bin/env python3
"""Check DAG specs from a checkout, installed or not; where the package is installed, ``validate-dag-specs`` is the same.

Exit status: 0 clean, 1 problems, 2 could not run.
"""

from __future__ import annotations

import sys
from pathlib import Path

# A checkout works without installation, as CI runs it; an installed package wins nothing by that.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

try:
    from oauth_taskflow.specs.command import main  # needs the path above
except ModuleNotFoundError as missing:
    sys.stderr.write(
        f"{missing}. Checking specs takes no Airflow, but: "
        "pip install croniter jinja2 jmespath jsonschema msgspec pyyaml tzdata\n"
    )
    sys.exit(2)

if __name__ == "__main__":
    sys.exit(main())
