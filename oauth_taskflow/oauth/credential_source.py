"""Credentials that somebody else made: assertions and tokens that are shown to a token endpoint. No I/O."""

from __future__ import annotations

import hashlib
from typing import Protocol

from oauth_taskflow.secret_values import Hidden, SecretValue


class CredentialSource(Protocol):
    """A credential made by somebody else, read anew for every request: files of that kind are replaced while we run."""

    def read(self) -> str:
        """The credential.

        Raises:
            ConnectionConfigError: it is not there.
        """

    @property
    def mark(self) -> str:
        """What tells this source from another one, and shows nothing."""


class InlineCredential(SecretValue, frozen=True):
    """A credential that stands in the connection."""

    text: Hidden[str]

    def read(self) -> str:
        """The credential."""
        return self.text

    @property
    def mark(self) -> str:
        """Another credential may be another person's: a hash of it."""
        return hashlib.sha256(self.text.encode()).hexdigest()
