"""Validates a folder of specs once, by a command, and prints what that took. Started by ``validate.py``.

Arguments: ours | check-jsonschema, our script or the schema, and the folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path


def command(kind: str, with_file: str, folder: Path) -> list[str]:
    """The command line of a validator; check-jsonschema takes no folders."""
    if kind == "ours":
        return [sys.executable, with_file, str(folder)]
    files = [str(path) for path in sorted(folder.glob("*.yaml"))]
    return [sys.executable, "-m", "check_jsonschema", "--schemafile", with_file, *files]


def main() -> None:
    kind, with_file, folder = sys.argv[1:]
    began = time.perf_counter()
    done = subprocess.run(
        command(kind, with_file, Path(folder)), check=False, stdout=subprocess.DEVNULL
    )
    used = os.times()
    package = "oauth-taskflow" if kind == "ours" else kind
    figures = {
        "seconds": time.perf_counter() - began,
        "cpu": used.children_user + used.children_system,
        "problems": done.returncode,
        "versions": {package: version(package)},
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
