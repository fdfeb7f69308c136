"""Sources of credentials that come from elsewhere: assertions and tokens that a grant presents. No I/O."""

from __future__ import annotations

import hashlib
from typing import Protocol

from oauth_taskflow.secret_values import Hidden, SecretValue


class CredentialSource(Protocol):
    """Reads a credential for every request, because such files are replaced while a task runs."""

    def read(self) -> str:
        """The credential.

        Raises:
            ConnectionConfigError: it is missing.
        """

    @property
    def fingerprint(self) -> str:
        """Distinguishes this source from others without revealing the credential."""


class InlineCredential(SecretValue, frozen=True):
    """A credential in the connection itself."""

    text: Hidden[str]

    def read(self) -> str:
        """The credential."""
        return self.text

    @property
    def fingerprint(self) -> str:
        """A hash of the credential: another one may belong to another person."""
        return hashlib.sha256(self.text.encode()).hexdigest()
