"""``airflow oauth`` at a command line, with a person who agrees; all that is printed goes to files."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import requests

_BROWSER = """\
import sys, urllib.request
urllib.request.urlopen(sys.argv[1], timeout=20).read()
"""
# Several commands in one process: Airflow takes seconds to import.
_SEVERAL = """\
import json, sys
from airflow.__main__ import main
for command in json.loads(sys.argv[1]):
    sys.argv = ["airflow", "oauth", *command]
    try:
        main()
    except SystemExit as end:
        assert not end.code, command
"""
_ADDRESS = re.compile(r"^  (http://\S+)$")
_CODE_ADDRESS = re.compile(r"holds the code: (\S+)")


def browser_command(folder: Path) -> str:
    """Returns the value of the variable ``BROWSER``: a program that opens the address it is given."""
    path = folder / "browser.py"
    path.write_text(_BROWSER)
    return f"{sys.executable} {path} %s"


@dataclass(frozen=True)
class CommandLine:
    """Runs ``airflow oauth`` in ``environment``; its output goes to files in ``folder``."""

    environment: Mapping[str, str] = field(repr=False)
    folder: Path

    def authorize(self, conn_id: str) -> int:
        """``airflow oauth login`` with the browser that ``BROWSER`` names; the exit status."""
        command = [sys.executable, "-m", "airflow", "oauth", "login", conn_id]
        with (self.folder / "login.log").open("wb") as log:
            return subprocess.run(
                command, env=self.environment, stdout=log, stderr=log, check=False
            ).returncode

    def run(self, *commands: tuple[str, ...]) -> int:
        """``commands`` one after the other, until one fails; we are the person whom they ask. The exit status."""
        with (
            (self.folder / "commands.out").open("wb") as out,
            (self.folder / "commands.err").open("w") as err,
            subprocess.Popen(
                [sys.executable, "-c", _SEVERAL, json.dumps(commands)],
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.PIPE,
                text=True,
            ) as process,
        ):
            assert process.stdin is not None
            assert process.stderr is not None
            for line in process.stderr:
                err.write(line)
                if typed := _agree(line):
                    process.stdin.write(f"{typed}\n")
                    process.stdin.flush()
        return process.returncode


def _agree(line: str) -> str | None:
    """Returns what a person types after reading ``line``: the address that the browser ended at, after agreeing there."""
    if found := _CODE_ADDRESS.search(line):
        requests.get(found[1], timeout=20)
    elif found := _ADDRESS.search(line):
        return requests.get(found[1], timeout=20, allow_redirects=False).headers["Location"]
    return None
