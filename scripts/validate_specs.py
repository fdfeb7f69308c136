#!/usr/bin/env -S uv run --script
# /// script
# requires-python = ">=3.10"
# dependencies = ["croniter>=6", "jinja2>=3.1", "jmespath>=1.0", "jsonschema>=4.20", "msgspec>=0.19", "pyyaml>=6.0", "tzdata"]
# ///
"""Check DAG specs from a checkout, installed or not; where the package is installed, ``validate-dag-specs`` is the same.

``uv run --script`` and the pre-commit hook bring the packages above (PEP 723); ``python`` takes those that are installed.

Exit status: 0 clean, 1 problems, 2 could not run.
"""

from __future__ import annotations

import sys
from pathlib import Path

# A checkout works without installation, as CI runs it; an installed package wins nothing by that.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

try:
    from oauth_taskflow.specs.cli import main  # needs the path above
except ModuleNotFoundError as missing:
    sys.stderr.write(
        f"{missing}. Checking specs takes no Airflow, but: "
        "pip install croniter jinja2 jmespath jsonschema msgspec pyyaml tzdata\n"
    )
    sys.exit(2)

if __name__ == "__main__":
    sys.exit(main())
