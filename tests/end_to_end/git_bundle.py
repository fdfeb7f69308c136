"""A DAG bundle of a git repository, versioned by commits as Airflow's git provider does it, without the provider."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from airflow.dag_processing.bundles.base import BaseDagBundle


def git(folder: Path, *arguments: str) -> str:
    """The output of a git command in ``folder``."""
    author = ("-c", "user.name=test", "-c", "user.email=test@example.com")
    command = ["git", *author, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def commit(repository: Path, message: str) -> str:
    """Commit everything in ``repository``, which is made on first use; the commit's hash."""
    if not (repository / ".git").exists():
        git(repository, "init", "-q", "-b", "main")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", message)
    return git(repository, "rev-parse", "HEAD")


class GitBundle(BaseDagBundle):
    """Follows the branch ``main`` of ``repository``; a run's tasks get the commit that the run was created on."""

    supports_versioning = True

    def __init__(self, *, repository: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._repository = repository

    @property
    def path(self) -> Path:
        """Where the files of this version, or the newest ones, are."""
        return self.versions_dir / self.version if self.version else self.base_dir / "tracking"

    def initialize(self) -> None:
        """Check out what is missing."""
        with self.lock():
            if not self.path.exists():
                self.path.parent.mkdir(parents=True, exist_ok=True)
                git(self.path.parent, "clone", "-q", self._repository, str(self.path))
                if self.version:
                    git(self.path, "checkout", "-q", self.version)
        super().initialize()

    def get_current_version(self) -> str:
        """The commit that is checked out."""
        return git(self.path, "rev-parse", "HEAD")

    def refresh(self) -> None:
        """Go to the newest commit."""
        if self.version:
            return
        with self.lock():
            git(self.path, "fetch", "-q", "origin")
            git(self.path, "reset", "-q", "--hard", "origin/main")
